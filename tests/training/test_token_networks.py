"""tfbp.Model on networks whose tokens have losses of their own: Keras's numbers, and the reference's steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tfbp
from tfbp import Dense, InputError, Model, Network, reference
from tfbp.network import at, named_weights
from tfbp.reference.optimizers import optimizer
from tfbp.reference.trainer import Trainer
from tfbp.training import TensorBoard
from tfbp.training.samples import weighted

LAYERS = [Dense(5, "tanh", kernel_regularizer="l2"), Dense(3)]
NETWORK = Network((4, 2), LAYERS, "sparse_categorical_crossentropy")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(11, 4, 2)), RNG.integers(0, 3, (11, 4))
WEIGHTS = {"tokens": RNG.random((11, 4)), "examples": RNG.random(11), "none": None}


def assert_follows_the_reference(model, history, x, y):
    """After two epochs of Adam, 0.01, in batches of 5: history, parameters and outputs."""
    network = model.network
    trainer = Trainer(network, network.init(0), optimizer("adam", 0.01), x, y)
    for epoch in range(2):
        losses, accuracies = trainer.train_epoch(np.random.default_rng([0, epoch]).permutation(len(x)), 5)
        # the tracker of the loss is of float32
        np.testing.assert_allclose(history["loss"][epoch], np.average(losses, weights=[5, 5, 1]), rtol=1e-6)
        if "accuracy" in history:
            np.testing.assert_allclose(history["accuracy"][epoch], np.average(accuracies, weights=[5, 5, 1]), rtol=1e-6)
    got, expected = model.get_parameters(), trainer.parameters()
    for place, name, w in named_weights(expected):
        np.testing.assert_allclose(at(got, place)[name], w, rtol=0, atol=1e-12, err_msg=f"{place} {name}")
    loss, outputs = reference.loss_and_outputs(network, expected, x, y)
    np.testing.assert_allclose(history["val_loss"][-1], loss, rtol=1e-6)
    if "val_accuracy" in history:
        np.testing.assert_allclose(history["val_accuracy"][-1], (outputs.argmax(axis=-1) == y).mean(), rtol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), outputs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("gradients", "jit_compile"), [("manual", True), ("tape", False)])
def test_fit_follows_the_reference(gradients, jit_compile):
    model = Model(NETWORK, gradients, dtype="float64")
    model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"], jit_compile=jit_compile)
    history = model.fit(X, Y, batch_size=5, epochs=2, verbose=0, validation_data=(X, Y)).history
    assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert_follows_the_reference(model, history, X, Y)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_loss_and_metrics_are_keras_s(weights):
    model = Model(NETWORK)
    model.compile("sgd", weighted_metrics=["accuracy"], jit_compile=False)
    theirs = model.to_keras()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile("sgd", loss, weighted_metrics=["accuracy"], jit_compile=False)
    arguments = (X.astype("float32"), Y)
    got = model.evaluate(*arguments, batch_size=6, sample_weight=WEIGHTS[weights], verbose=0)
    # Keras wants (B, 1) in the place of (B,)
    given = WEIGHTS[weights][:, None] if weights == "examples" else WEIGHTS[weights]
    expected = theirs.evaluate(*arguments, batch_size=6, sample_weight=given, verbose=0)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_every_example_s_gradient_is_the_reference_s():
    """An example's loss is the mean over its tokens."""
    model = Model(NETWORK, dtype="float64")
    for weights in WEIGHTS.values():
        norms = tfbp.per_example_gradient_norms(model, X, Y, weights, per_layer=True)
        expected = reference.per_example.gradient_norms(NETWORK, model.get_parameters(), X, Y, weights)
        np.testing.assert_allclose(norms, expected, rtol=1e-12)


def test_tensorboard_has_the_statistics(tmp_path):
    model = Model(NETWORK)
    model.compile("sgd")
    board = TensorBoard(tmp_path, every=1, compare=True)
    model.fit(X, Y, batch_size=11, verbose=0, callbacks=[board])
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    events.Reload()
    assert {"rms/layer_1/dz", "gradients_apart/layer_1/dkernel"} <= set(events.Tags()["tensors"])


def test_a_class_s_weight_is_that_of_each_of_its_tokens():
    model = Model(NETWORK)
    expected = np.choose(Y, [2.0, 0.5, 1.0])
    np.testing.assert_array_equal(weighted(model, (X, Y), {0: 2, 1: 0.5})[2], expected)
    dense = Model(Network((4, 2), LAYERS, "categorical_crossentropy"))
    np.testing.assert_array_equal(weighted(dense, (X, np.eye(3)[Y]), {0: 2, 1: 0.5})[2], expected)


def test_a_nan_is_found_in_a_token_s_loss():
    model = Model(Network((4, 2), [Dense(3)], "mean_squared_error"))
    model.compile("sgd", jit_compile=False)
    y = np.zeros((11, 4, 3), "float32")
    y[7, 2, 1] = 1e30
    found = model.first_non_finite((tf.constant(X), tf.constant(y)))
    assert (found[0], found[-1]) == ("losses", (7, 2))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"y": Y[:, 0]}, "y: got shape (11,); accepted: (11, 4) integer labels, one for each token."),
        ({"y": Y + 1}, "y: got the label 3; accepted: integers from 0 to 2."),
        (
            {"sample_weight": np.ones((11, 3))},
            "sample_weight: got shape (11, 3); accepted: (11,), one for each row of x, or (11, 4), one for each token.",
        ),
    ],
    ids=["labels", "label", "weights"],
)
def test_bad_targets_are_refused_in_a_sentence(given, sentence):
    model = Model(NETWORK)
    model.compile("sgd")
    with pytest.raises(InputError) as caught:
        model.fit(X, **{"y": Y, **given}, verbose=0)
    assert str(caught.value) == sentence


def test_targets_of_another_shape_are_refused():
    model = Model(Network((4, 2), LAYERS, "huber"))
    model.compile("sgd")
    with pytest.raises(
        InputError, match=r"^y: got shape \(11, 4\); accepted: \(11, 4, 3\), as the network's output\.$"
    ):
        model.fit(X, Y, verbose=0)
