"""A traced graph is freed with what uses it, as with Keras's layers: nothing of it stays in TensorFlow's tables."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

from tfbp import layers
from tfbp.losses import linear_cross_entropy

X = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 5)))
LAYERS = {
    "Dense": lambda: layers.Dense(5, "gelu", dtype="float64"),
    "Dense-softmax": lambda: layers.Dense(5, "softmax", dtype="float64"),
    "Activation": lambda: layers.Activation("mish", dtype="float64"),
    "ReLU": lambda: layers.ReLU(6.0, dtype="float64"),
    "LeakyReLU": lambda: layers.LeakyReLU(dtype="float64"),
    "ELU": lambda: layers.ELU(dtype="float64"),
    "PReLU": lambda: layers.PReLU(dtype="float64"),
    "Softmax": lambda: layers.Softmax(1, dtype="float64"),
}


def gradient(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return tape.gradient(y, x)


def in_a_loop(layer, x):
    return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, x + layer(x)), (0, x), maximum_iterations=3)[1]


def hessian(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        first = gradient(layer, x)
    return tape.gradient(first, x)


WAYS = {
    "gradient": gradient,
    "forward": lambda layer, x: layer(x),
    "second-order": hessian,
    "loop": lambda layer, x: gradient(lambda x: in_a_loop(layer, x), x),
    "cond": lambda layer, x: gradient(lambda x: tf.cond(x[0, 0, 0] > 0, lambda: layer(x), lambda: x), x),
    "nested-function": lambda layer, x: gradient(tf.function(layer), x),
    "recompute": lambda layer, x: gradient(tf.recompute_grad(lambda x: layer(x)), x),
    "vectorized-map": lambda layer, x: tf.vectorized_map(lambda row: gradient(layer, row[None])[0], x),
}


pytestmark = pytest.mark.usefixtures("only_new_garbage")


def entries():
    for _ in range(3):  # a finalizer may bring back, for once, what it finalizes
        gc.collect()
    return len(gradient_registry.list())


@pytest.mark.parametrize(
    ("name", "way", "jit_compile"),
    [
        *((name, "gradient", False) for name in LAYERS),
        *(("Dense", way, False) for way in WAYS),
        *(("Dense", way, True) for way in ("forward", "gradient", "loop")),
    ],
)
def test_a_graph_goes_with_its_function(name, way, jit_compile):
    layer = LAYERS[name]()
    expected = WAYS[way](layer, X)  # builds the layer
    before = entries()

    function = tf.function(lambda x: WAYS[way](layer, x), jit_compile=jit_compile, autograph=False)
    np.testing.assert_allclose(function(X), expected, rtol=1e-12, atol=1e-14)
    graph = weakref.ref(function.get_concrete_function(X).graph)
    traced = entries() - before
    if way != "recompute":  # whose own closure, of TensorFlow, stays; ours below it goes
        assert traced >= 1
    del function
    after = entries()
    if way != "recompute":
        assert graph() is None
        assert after == before


def test_a_loss_s_graphs_go_with_their_functions():
    kernel, labels = tf.ones((5, 7), tf.float64), tf.zeros((4, 3), tf.int32)

    def loss(x):
        return linear_cross_entropy(x, kernel, labels, chunk_size=5)

    graphs, counts = [], []
    for _ in range(3):
        function = tf.function(lambda x: gradient(loss, x), autograph=False)
        function(X)
        graphs.append(weakref.ref(function.get_concrete_function(X).graph))
        del function
        counts.append(entries())
    assert [graph() for graph in graphs] == [None] * 3
    assert counts[1:] == [counts[0]] * 2  # the loss's own program is kept, once


def test_a_persistent_tape_and_a_gradient_after_the_trace_find_their_backwards():
    """The graph is alive as long as something can ask for its gradient: a tape, a concrete function."""
    layer = layers.Dense(5, "tanh", dtype="float64")
    expected = gradient(layer, X)
    concrete = tf.function(layer).get_concrete_function(tf.TensorSpec((4, 3, 5), tf.float64))
    gc.collect()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = concrete(X)
    del concrete
    gc.collect()
    for _ in range(2):
        np.testing.assert_allclose(tape.gradient(y, X), expected, rtol=1e-12)


def test_a_saved_model_has_its_gradients_after_the_first_is_gone(tmp_path):
    model = keras.Sequential([keras.Input((3, 5)), layers.Dense(5, "gelu"), layers.Dense(2, "softmax")])
    x = tf.cast(X, tf.float32)
    expected = gradient(lambda x: model(x)[..., 0], x)
    tf.saved_model.save(model, tmp_path / "saved")
    model = None
    gc.collect()
    loaded = tf.saved_model.load(tmp_path / "saved")
    got = gradient(lambda x: next(iter(loaded.signatures["serving_default"](x).values()))[..., 0], x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
