"""The agreement matrix: every case, dtype and mode, locally and end to end, each tensor within its tolerance."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import manual
from tfbp.agreement.cases import all_cases, shape_cases
from tfbp.agreement.matrix import MODES, PAIRS, Cell, first_wrong, run_cell
from tfbp.agreement.precision import ACCEPTED_RATIO, error_ratio
from tfbp.agreement.problems import DTYPES, problem
from tfbp.network import named_weights


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
@pytest.mark.sampled(47, dtype="float64", mode="eager")
def test_the_writings_agree(case, dtype, mode, device):
    for tf32 in (False, True) if device == "gpu" and dtype == "float32" else (False,):
        results = run_cell(Cell(case, dtype, mode, device, tf32))
        assert {result.scope for result in results} == {"local", "end to end"}
        assert {result.pair for result in results} == set(PAIRS)
        wrong = first_wrong(results)
        assert wrong is None, f"{wrong.cell.id}: {wrong.pair}, {wrong.scope}: {wrong.comparison}"
        if dtype != "float64":
            ratio = error_ratio(results)
            # too few numbers for a verdict in the smallest network alone
            assert ratio <= ACCEPTED_RATIO or (np.isnan(ratio) and case.name.startswith("one-unit"))


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


@pytest.mark.parametrize("formula", [lambda y: (1 - y) * (1 + y), lambda y: 1 - y * y], ids=["product", "difference"])
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_two_right_formulas_are_not_told_apart_by_luck(monkeypatch, formula, dtype):
    """The 16-bit verdict on precision is silent on four numbers, and right on enough of them."""
    pair = manual.smooth_activations.tanh_forward, lambda dy, y: dy * tf.cast(formula(y), dy.dtype)
    monkeypatch.setitem(manual.activations.ACTIVATIONS, "tanh", pair)
    for case in all_cases():
        if case.name.startswith(("one-unit", "deep5", "tanh-", "regularized")):
            results = run_cell(Cell(case, dtype, "eager"))
            assert first_wrong(results) is None
            assert not error_ratio(results) > ACCEPTED_RATIO


def test_cases_are_not_lazy():
    cases = all_cases()
    kernels = [(case.batch, w["kernel"]) for case in cases for w in case.network.parameter_shapes() if "kernel" in w]
    shapes = [(batch, *kernel) for batch, kernel in kernels if len(kernel) == 2]
    assert any(i == o for _, i, o in shapes)
    assert any(b == o for b, _, o in shapes)
    assert max(b for b, _, _ in shapes) > 1024
    assert max(i for _, i, _ in shapes) > 512
    numbers = {case.name: problem(case, "float64") for case in cases}
    weights = [w for n in numbers.values() for _, _, w in named_weights(n.parameters)]
    assert any((w == 0).any() and (w != 0).any() for w in weights)
    any_sum = next(case for case in cases if case.any_targets)
    assert not np.allclose(numbers[any_sum.name].y.sum(axis=1), 1)
