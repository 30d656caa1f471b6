"""The NumPy optimizers follow Keras's own, step by step, in float64."""

import keras
import numpy as np
import pytest

from tfbp import InputError
from tfbp.reference.optimizers import optimizer
from tfbp.training import keras_optimizer

STEPS = 50


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_follows_keras(name):
    rng = np.random.default_rng(0)
    start = {"kernel": rng.normal(size=(3, 4)), "bias": rng.normal(size=4)}
    parameters = [{key: w.copy() for key, w in start.items()}]
    variables = [keras.Variable(w, dtype="float64") for w in start.values()]
    ours, theirs = optimizer(name, 0.1), keras_optimizer(name, 0.1)
    for _ in range(STEPS):
        gradients = {key: rng.normal(size=w.shape) for key, w in start.items()}
        ours.apply([gradients], parameters)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients.values()], variables)
    for (key, w), variable in zip(parameters[0].items(), variables, strict=True):
        assert np.abs(w - start[key]).max() > 0.1
        # a few roundings a step, of numbers as large as the largest weight
        np.testing.assert_allclose(w, variable, rtol=0, atol=4 * STEPS * 2**-53 * np.abs(w).max(), err_msg=key)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("make", [optimizer, keras_optimizer], ids=["reference", "keras"])
def test_a_bad_learning_rate_is_refused(make, rate):
    with pytest.raises(InputError, match=r"^learning_rate: got .*; accepted: a finite number above 0\.$"):
        make("adam", rate)


@pytest.mark.parametrize("make", [optimizer, keras_optimizer], ids=["reference", "keras"])
def test_an_unknown_name_is_refused(make):
    with pytest.raises(InputError, match=r"^optimizer: got 'adan' \(did you mean 'adam'\?\); accepted: sgd, mom"):
        make("adan", 0.1)
