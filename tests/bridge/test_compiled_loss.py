"""`from_keras` takes the loss that a model is compiled with, and refuses one that would mean something else."""

import keras
import numpy as np
import pytest

from tfbp import InputError, Loss, Model, Network, gradient_statistics
from tfbp.errors import LONGEST

LOSSES = keras.losses
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def model_of(loss, last=None, units=3):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(units, last)])
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    ("loss", "last", "expected"),
    [
        ("mse", None, Loss("mean_squared_error")),
        (LOSSES.MeanAbsoluteError(), "relu", Loss("mean_absolute_error")),
        (LOSSES.Huber(delta=0.5), None, Loss("huber", {"delta": 0.5})),
        ("sparse_categorical_crossentropy", "softmax", Loss("sparse_categorical_crossentropy")),
        (LOSSES.CategoricalCrossentropy(from_logits=True), None, Loss("categorical_crossentropy")),
        ("binary_crossentropy", "sigmoid", Loss("binary_crossentropy")),
        (LOSSES.BinaryCrossentropy(from_logits=True), None, Loss("binary_crossentropy")),
    ],
    ids=["mse", "mae", "huber", "sparse", "logits", "sigmoid", "binary-logits"],
)
def test_the_loss_is_that_of_compile_and_its_value_is_keras_s(loss, last, expected):
    theirs = model_of(loss, last)
    ours = Model.from_keras(theirs)
    assert ours.network.loss == expected
    assert Network.from_keras(theirs)[0] == ours.network
    ours.compile("sgd")
    y = np.array([0, 1, 2, 1, 0, 2]) if "sparse" in expected.name else np.eye(3, dtype="float32")[[0, 1, 2, 1, 0, 2]]
    assert ours.evaluate(X, y, verbose=0) == pytest.approx(theirs.evaluate(X, y, verbose=0), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "last", "sentence"),
    [
        (
            "kl_divergence",
            None,
            "loss: got 'kl_divergence' in compile; accepted: half_squared_error, ",
        ),
        (LOSSES.CategoricalHinge(), None, "loss: got 'categorical_hinge' in compile (did you mean"),
        (LOSSES.MeanSquaredError(reduction="sum"), None, "loss: got reduction='sum' in compile; accepted: 'sum_over_"),
        (
            LOSSES.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            None,
            "loss: got label_smoothing=0.1 in compile; accepted: 0.",
        ),
        (
            "sparse_categorical_crossentropy",
            None,
            "loss: got from_logits=False in compile after a last activation linear; accepted: from_logits=True, or",
        ),
        (
            LOSSES.BinaryCrossentropy(from_logits=True),
            "sigmoid",
            "loss: got from_logits=True in compile after a last activation sigmoid; accepted: from_logits=False, or",
        ),
    ],
    ids=["unknown", "alike", "sum", "smoothing", "probabilities-wanted", "logits-wanted"],
)
def test_a_loss_that_a_network_does_not_have_is_refused(loss, last, sentence):
    with pytest.raises(InputError) as caught:
        Model.from_keras(model_of(loss, last))
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) <= LONGEST


def test_a_model_that_is_not_compiled_needs_a_loss():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="loss: got none, and a model that is not compiled; accepted: a loss, or"):
        Model.from_keras(model)
    assert Model.from_keras(model, "huber").network.loss == Loss("huber")


def test_what_takes_a_tfbp_model_says_how_to_make_one():
    with pytest.raises(InputError) as caught:
        gradient_statistics(model_of("mse"), X, np.zeros((6, 3)))
    assert str(caught.value).startswith("model: got a Sequential; accepted: a tfbp.Model (tfbp.Model.from_keras(model")
