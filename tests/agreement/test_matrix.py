"""The agreement matrix: every case, dtype and mode, locally and end to end, each tensor within its tolerance."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import manual
from tfbp.agreement.cases import DTYPES, all_cases, shape_cases
from tfbp.agreement.matrix import MODES, Cell, check_device, first_wrong, run_cell
from tfbp.agreement.precision import ACCEPTED_RATIO, error_ratio
from tfbp.checks import InputError

CELLS = [Cell(case, dtype, mode) for case in all_cases() for dtype in DTYPES for mode in MODES]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id.removesuffix("-cpu"))
def test_the_writings_agree(cell, device):
    for tf32 in (False, True) if device == "gpu" and cell.dtype == "float32" else (False,):
        results = run_cell(Cell(cell.case, cell.dtype, cell.mode, device, tf32))
        assert {result.scope for result in results} == {"local", "end to end"}
        assert len({result.pair for result in results}) == 3
        wrong = first_wrong(results)
        assert wrong is None, f"{wrong.cell.id}: {wrong.pair}, {wrong.scope}: {wrong.comparison}"
        if cell.dtype != "float64":
            assert error_ratio(results) <= ACCEPTED_RATIO


def wrong_dense_backward(dz, residuals, **options):
    dx, dkernel, dbias = RIGHT(dz, residuals, **options)
    return dx, dkernel * tf.cast(1.01, dkernel.dtype), dbias


RIGHT = manual.dense.dense_backward


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_backward_is_caught_and_named(monkeypatch, dtype):
    monkeypatch.setattr(manual.dense, "dense_backward", wrong_dense_backward)
    wrong = first_wrong(run_cell(Cell(next(shape_cases()), dtype, "eager")))
    assert wrong is not None
    assert wrong.pair == "manual-reference"
    assert wrong.comparison.tensor == "layer 0 dkernel"


def test_a_nan_is_a_disagreement(monkeypatch):
    monkeypatch.setattr(manual.dense, "_sum_over_batch", lambda dz: tf.fill(dz.shape[1:], tf.cast(np.nan, dz.dtype)))
    wrong = first_wrong(run_cell(Cell(next(shape_cases()), "float32", "eager")))
    assert wrong.comparison.tensor == "layer 0 dbias"
    assert "nan" in wrong.comparison.mistake


def test_a_missing_device_is_an_error():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match="device: got 'gpu'"):
        check_device("gpu")
