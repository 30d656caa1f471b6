"""Shapes that are unknown while a function is traced, and axes of size 0: what Keras's layers compute, these do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import layers
from tfbp.losses import linear_cross_entropy

LAYERS = {
    "Dense": ("Dense", {"units": 3}, (4, 5)),
    "Dense-rank3": ("Dense", {"units": 3, "activation": "tanh"}, (4, 2, 5)),
    "Dense-rank4": ("Dense", {"units": 3, "activation": "softmax", "use_bias": False}, (4, 2, 1, 5)),
    "Activation": ("Activation", {"activation": "sigmoid"}, (4, 5)),
    "ReLU": ("ReLU", {"max_value": 1.0}, (4, 2, 5)),
    "LeakyReLU": ("LeakyReLU", {"negative_slope": 0.25}, (4, 2, 5)),
    "ELU": ("ELU", {}, (4, 5)),
    "PReLU": ("PReLU", {"alpha_initializer": "random_normal", "shared_axes": [1]}, (4, 2, 5)),
    "Softmax": ("Softmax", {"axis": 1}, (4, 2, 5)),
    "Softmax-axes": ("Softmax", {"axis": [1, 2]}, (4, 2, 5)),
}
LOSSES = {
    "given": lambda y, dy: tf.reduce_sum(y * dy),  # dy of unknown rank
    "py-function": lambda y, _: tf.py_function(lambda y: tf.reduce_sum(tf.sin(y)), [y], tf.float64),
    "transpose": lambda y, _: tf.reduce_sum(tf.sin(tf.transpose(y, tf.range(tf.rank(y))[::-1])) * 0.5),
    "reshape": lambda y, _: tf.reduce_sum(tf.sin(tf.reshape(y, tf.concat([tf.shape(y), [1]], 0)))),
    "gather": lambda y, _: tf.reduce_sum(tf.sin(tf.gather(y, [1, 0, 1]))),
}


def pair_of(name, seed=0):
    kind, arguments, shape = LAYERS[name]
    rng = np.random.default_rng(seed)
    x = tf.constant(rng.normal(size=shape))
    ours, theirs = (getattr(room, kind)(**arguments, dtype="float64") for room in (layers, keras.layers))
    dy = tf.constant(rng.normal(size=ours(x).shape))
    theirs(x)
    theirs.set_weights(ours.get_weights())
    return ours, theirs, x, dy


def gradients(layer, loss, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        value = loss(y, dy)
    return [y, *tape.gradient(value, [x, *(w.value for w in layer.trainable_variables)])]


def compiled(layer, loss, shape, jit_compile):
    signature = [tf.TensorSpec(shape, tf.float64), tf.TensorSpec(None, tf.float64)]
    return tf.function(
        lambda x, dy: gradients(layer, loss, x, dy), input_signature=signature, jit_compile=jit_compile, autograph=False
    )


def assert_equal(got, expected):
    for a, e in zip(got, expected, strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=0, atol=64 * 2**-53 * (1 + np.abs(e).max(initial=0)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("axes", ["known", "last-unknown", "all-unknown"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(7)
def test_shapes_unknown_to_the_trace(name, axes, loss):
    ours, theirs, x, dy = pair_of(name)
    shape = {"known": x.shape, "last-unknown": [*x.shape[:-1], None], "all-unknown": [None] * x.shape.rank}[axes]
    got, expected = (compiled(layer, LOSSES[loss], shape, False)(x, dy) for layer in (ours, theirs))
    assert_equal(got, expected)


@pytest.mark.parametrize("loss", ["given", "gather"])
@pytest.mark.parametrize("name", ["Dense-rank3", "PReLU", "Softmax"])
def test_shapes_unknown_to_the_trace_under_xla(name, loss):
    ours, theirs, x, dy = pair_of(name)
    got, expected = (compiled(layer, LOSSES[loss], [None] * x.shape.rank, True)(x, dy) for layer in (ours, theirs))
    assert_equal(got, expected)


@pytest.mark.parametrize("loss", ["py-function", "gather"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_same_losses_run_eagerly(name, loss):
    ours, theirs, x, dy = pair_of(name)
    assert_equal(*(gradients(layer, LOSSES[loss], x, dy) for layer in (ours, theirs)))


@pytest.mark.parametrize("name", ["Activation", "ReLU", "LeakyReLU", "ELU"])
def test_an_unknown_rank_where_keras_takes_one(name):
    ours, theirs, x, dy = pair_of(name)
    assert_equal(*(compiled(layer, LOSSES["given"], None, False)(x, dy) for layer in (ours, theirs)))


OPTIONS = {
    "plain": {},
    "all": {"ignore_index": -1, "label_smoothing": 0.1, "z_loss": 0.1, "soft_cap": 3.0, "chunk_size": 2},
}


def loss_and_gradients(x, kernel, labels, weight, **options):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        loss = linear_cross_entropy(x, kernel, labels, sample_weight=weight, **options)
    return [loss, *tape.gradient(loss, [x, kernel])]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shapes", ["unknown-axes", "unknown-rank"])
@pytest.mark.sampled(3)
def test_a_loss_of_shapes_unknown_to_the_trace(shapes, options, jit_compile):
    rng = np.random.default_rng(0)
    x, kernel = tf.constant(rng.normal(size=(3, 4, 5))), tf.constant(rng.normal(size=(5, 7)))
    labels, weight = tf.constant(rng.integers(0, 7, (3, 4))), tf.constant(rng.random(3))
    if shapes == "unknown-axes":
        signature = [[None, None, None], [5, 7], [None, None], [None]]
    else:
        signature = [None, [5, 7], None, None]
    signature = [tf.TensorSpec(s, t.dtype) for s, t in zip(signature, (x, kernel, labels, weight), strict=True)]
    run = tf.function(
        lambda *arguments: loss_and_gradients(*arguments, **OPTIONS[options]),
        input_signature=signature,
        jit_compile=jit_compile,
        autograph=False,
    )
    assert_equal(run(x, kernel, labels, weight), loss_and_gradients(x, kernel, labels, weight, **OPTIONS[options]))
    # no token at all: nothing lost, nothing to learn
    loss, dx, dkernel = run(x[:0], kernel, labels[:0], weight[:0])
    assert (float(loss), dx.shape, np.abs(dkernel).max()) == (0, (0, 4, 5), 0)
