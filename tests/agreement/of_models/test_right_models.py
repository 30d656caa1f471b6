"""Right models of several shapes, on which `tfbp.agree` finds nothing."""

import keras
import pytest
from right_models import MODELS

import tfbp

L = keras.layers


@pytest.mark.rare("seconds each: test_agree has small ones")
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_right_model_has_no_finding(rng, make, mode):
    keras.utils.set_random_seed(int(rng.integers(100)))
    model, x, y, loss = make(rng)
    report = tfbp.agree(model, x, y, loss=loss, dtypes=["float64", "float32", "bfloat16"], modes=[mode])
    assert report.agrees, str(report)
    assert max(report.whole.values()) <= 1
