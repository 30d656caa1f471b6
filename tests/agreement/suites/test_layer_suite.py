"""tfbp.layers in the matrix: every layer, dtype and mode within its tolerance of the reference."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import manual
from tfbp.agreement.cases import activation_cases
from tfbp.agreement.matrix import MODES, first_wrong
from tfbp.agreement.problems import DTYPES
from tfbp.agreement.suites.layers import layer_cases, run_layers
from tfbp.layers import hand_written


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.sampled(5)
def test_the_layers_agree_with_the_reference(dtype, mode, device):
    cases = layer_cases()
    if device == "cpu" and mode != "graph":  # in turns: `make agree` has every one in every dtype and mode
        cases = cases[DTYPES.index(dtype) :: len(DTYPES)]
    results = run_layers(cases, dtype, mode, device)
    assert {result.cell.case.name for result in results} == {case.name for case in cases}
    wrong = first_wrong(results)
    assert wrong is None, f"{wrong.cell.id}: {wrong.comparison}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_dense_backward_is_caught_and_named(monkeypatch, dtype):
    right = manual.dense.dense_backward

    def wrong(dz, residuals, **options):
        dx, dkernel, dbias = right(dz, residuals, **options)
        return dx, dkernel * tf.cast(1.03, dkernel.dtype), dbias

    monkeypatch.setattr(hand_written, "dense_backward", wrong)
    found = first_wrong(run_layers(layer_cases()[:1], dtype, "graph"))
    assert found.comparison.tensor == "layer 0 Dense dkernel"


def test_a_wrong_activation_backward_is_caught_and_named(monkeypatch):
    monkeypatch.setattr(hand_written, "activation_backward", lambda choice, dy, residuals: -dy)
    hand_written._activation.cache_clear()
    try:
        found = first_wrong(
            run_layers([next(case for case in activation_cases() if "tanh-" in case.name)], "float32", "eager")
        )
    finally:
        hand_written._activation.cache_clear()
    assert found.comparison.tensor == "layer 0 tanh dx"
    assert np.isfinite(found.comparison.ratio)
