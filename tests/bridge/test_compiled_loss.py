"""`from_keras` takes the loss that a model is compiled with, and refuses one that would mean something else."""

import keras
import numpy as np
import pytest

from tfbp import InputError, Loss, Model, Network, gradient_statistics, reference
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


@pytest.mark.parametrize("is_chain", [True, False], ids=["chain", "graph"])
def test_the_weight_of_one_loss_counts(is_chain):
    x = keras.Input((4,))
    y = keras.layers.Dense(4, "tanh")(x)
    model = keras.Model(x, keras.layers.Dense(3, name="y")(y if is_chain else y * x))
    model.compile("sgd", loss={"y": "mse"}, loss_weights={"y": 0.25})
    network, parameters = Network.from_keras(model)
    assert network.is_chain == is_chain
    targets = X[:, :3]
    loss, _ = reference.loss_and_gradients(network, parameters, X, targets)
    assert loss == pytest.approx(model.evaluate(X, targets, verbose=0), rel=1e-5)
    assert loss == pytest.approx(np.mean((reference.forward(network, parameters, X) - targets) ** 2) / 4, rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [LOSSES.Huber(0.5), [LOSSES.Huber(0.5)], {"y": LOSSES.Huber(0.5)}, {"y": Loss("huber", {"delta": 0.5})}],
    ids=["Keras's", "in a list", "by name", "tfbp's"],
)
def test_a_loss_may_be_keras_s_and_belong_to_an_output(loss):
    x = keras.Input((4,))
    network, _ = Network.from_keras(keras.Model(x, keras.layers.Dense(3, name="y")(x)), loss)
    assert network.loss == Loss("huber", {"delta": 0.5})


def test_a_loss_of_logits_does_not_fit_probabilities():
    with pytest.raises(InputError, match=r"^loss: got from_logits=True .* softmax; accepted: from_logits=False, or"):
        Network.from_keras(model_of("mse", "softmax"), LOSSES.CategoricalCrossentropy(from_logits=True))


def test_a_model_that_is_not_compiled_needs_a_loss():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="loss: got none, and a model that is not compiled; accepted: a loss, or"):
        Model.from_keras(model)
    assert Model.from_keras(model, "huber").network.loss == Loss("huber")


def test_what_takes_a_tfbp_model_says_how_to_make_one():
    with pytest.raises(InputError) as caught:
        gradient_statistics(model_of("mse"), X, np.zeros((6, 3)))
    assert str(caught.value).startswith("model: got a Sequential; accepted: a tfbp.Model (tfbp.Model.from_keras(model")
