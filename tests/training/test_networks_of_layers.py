"""tfbp.Model on a network of layers of several kinds: its steps, its file, its examples' gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import (
    Activation,
    Dense,
    Dropout,
    Flatten,
    InputError,
    Model,
    Network,
    Reshape,
    Residual,
    gradient_statistics,
    manual,
    per_example_gradient_norms,
    reference,
)
from tfbp.network import at, named_weights
from tfbp.reference.optimizers import optimizer
from tfbp.reference.trainer import Trainer
from tfbp.training import TensorBoard

INNER = Residual([Activation("tanh"), Dense(5)])
NETWORK = Network(
    (4, 6, 3),
    [
        Dense(5, "tanh"),
        Residual([Dense(5, "silu", kernel_regularizer="l2"), INNER]),
        Residual([Dense(7, "tanh"), Dense(4)]),
        Reshape((12, -1)),
        Flatten(),
        Dense(4),
        Activation("softmax"),
    ],
    "sparse_categorical_crossentropy",
)
RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(22, 4, 6, 3)), RNG.integers(0, 4, 22)


def model_of(gradients="manual", dtype="float64", **options):
    model = Model(NETWORK, gradients, dtype=dtype)
    model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize(("gradients", "jit_compile"), [("manual", True), ("tape", False)])
def test_fit_follows_the_reference(gradients, jit_compile):
    model = model_of(gradients, jit_compile=jit_compile)
    model.fit(X, LABELS, batch_size=8, epochs=3, verbose=0)
    trainer = Trainer(NETWORK, NETWORK.init(0), optimizer("adam", 0.01), X, LABELS)
    for epoch in range(3):
        trainer.train_epoch(np.random.default_rng([0, epoch]).permutation(22), 8)
    got, expected = model.get_parameters(), trainer.parameters()
    for place, name, w in named_weights(expected):
        np.testing.assert_allclose(at(got, place)[name], w, rtol=0, atol=1e-12, err_msg=f"{place} {name}")


def test_it_is_saved_and_becomes_a_keras_model(tmp_path):
    model = model_of()
    model.fit(X, LABELS, batch_size=8, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = reference.forward(NETWORK, model.get_parameters(), X)
    np.testing.assert_allclose(loaded(X), expected, rtol=0, atol=1e-15)
    # Keras's predict hands its own layers float32
    np.testing.assert_allclose(model.to_keras()(X), expected, rtol=0, atol=1e-15)


def test_every_example_s_gradient_is_the_reference_s():
    model = model_of()
    arguments = NETWORK, model.get_parameters(), X, LABELS
    norms = per_example_gradient_norms(model, X, LABELS, per_layer=True)
    expected = reference.per_example.gradient_norms(*arguments)
    assert norms.shape == (22, len(NETWORK.layers))
    np.testing.assert_allclose(norms, expected, rtol=1e-13, atol=1e-16)
    assert (norms[:, [3, 4, 6]] == 0).all()
    found, moments = gradient_statistics(model, X, LABELS), reference.per_example.gradient_mean_and_variance(*arguments)
    for place, name, w in named_weights(moments[1]):
        np.testing.assert_allclose(at(found.variance, place)[name], w, rtol=1e-10, atol=1e-16)


def test_fit_clips_each_example():
    model = model_of()
    model.fit(X, LABELS, batch_size=22, epochs=1, verbose=0, clip_per_example=0.1, shuffle=False)
    parameters = NETWORK.init(0)
    _, clipped = reference.per_example.loss_and_clipped_gradients(NETWORK, parameters, X, LABELS, 0.1)
    parameters = [*map(dict, parameters)]
    trainer = Trainer(NETWORK, parameters, optimizer("adam", 0.01), X, LABELS)
    trainer._optimizer.apply(clipped, trainer._parameters)
    for place, name, w in named_weights(trainer.parameters()):
        np.testing.assert_allclose(at(model.get_parameters(), place)[name], w, rtol=0, atol=1e-9)


def test_tensorboard_has_the_statistics_of_parts(tmp_path):
    model = model_of(dtype="float32")
    board = TensorBoard(tmp_path, every=1, compare=True)
    model.fit(X, LABELS, batch_size=11, epochs=1, verbose=0, callbacks=[board])
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {"rms/layer_1.layers.0/dkernel", "rms/layer_2.projection.0/kernel", "gradients_apart/layer_5/dbias"} <= tags


def test_clipped_examples_are_compared_with_what_dropout_drew(tmp_path, rng):
    """The tape's, too, from the masks of the step, and none of its own."""
    network = Network(6, [Dense(5, "tanh"), Dropout(0.4), Dense(4)], "sparse_categorical_crossentropy")
    model = Model(network, dtype="float64")
    model.compile("sgd")
    board, x = TensorBoard(tmp_path, every=1, compare=True), rng.normal(size=(22, 6))
    fed = {"batch_size": 22, "verbose": 0, "callbacks": [board], "clip_per_example": 0.1}
    model.fit(x, LABELS, sample_weight=rng.uniform(0.5, 2, 22), **fed)
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("gradients_apart")]
    assert len(tags) == 4
    for tag in tags:
        assert tf.make_ndarray(events.Tensors(tag)[0].tensor_proto) < 1e-13, tag


@pytest.mark.parametrize("x", [X[:, :, :5], X.reshape(22, -1)], ids=["width", "rank"])
def test_arrays_of_another_shape_are_refused(x):
    with pytest.raises(InputError, match=r"^x: got shape .*; accepted: \(B, 4, 6, 3\) with a batch"):
        model_of().fit(x, LABELS, verbose=0)


class Tied(Flatten):
    ties_examples = True


class Unknown(Flatten):
    __module__ = Flatten.__module__

    def weight_shapes(self, input_shape):
        return {"kernel": (3,)}


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            [Unknown(), Residual([Tied()])],
            "network: got Tied in layer 1.layers.0; accepted: layers that take each e",
        ),
        ([Unknown(), Flatten()], "network: got Unknown in layer 0; accepted: layers without weights, and those"),
    ],
    ids=["tied", "unknown"],
)
def test_examples_without_a_gradient_of_their_own_are_refused(layers, sentence):
    with pytest.raises(InputError) as caught:
        manual.per_example.gradient_norms(Network(3, layers, "huber"), [], np.zeros((2, 3)), np.zeros((2, 3)))
    assert str(caught.value).startswith(sentence)
