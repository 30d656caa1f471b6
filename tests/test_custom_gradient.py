"""tf.custom_gradient whose graphs are freed with what uses them, one's own and those that others traced."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

import tfbp
from tfbp.custom_gradient import custom_gradient, let_go

pytestmark = pytest.mark.usefixtures("only_new_garbage")


@custom_gradient
def double(x):
    return 2 * x, lambda dy: 3 * dy


@tf.custom_gradient
def tensorflow_s_double(x):
    return 2 * x, lambda dy: 3 * dy


def entries():
    for _ in range(3):  # a finalizer may bring back, for once, what it finalizes
        gc.collect()
    return set(gradient_registry.list())


def test_a_copy_that_outlives_its_graph_says_so():
    with tf.Graph().as_default() as graph:
        name = double(tf.constant(1.0)).op.get_attr("_gradient_op_type").decode()
        backward = gradient_registry.lookup(name)
    del graph
    gc.collect()
    assert name not in gradient_registry.list()
    with pytest.raises(RuntimeError, match=f"{name}: its graph is gone"):
        backward(None, tf.constant(1.0))


def test_the_gradient_from_above_comes_with_y_s_shape():
    shapes = []

    @custom_gradient
    def seen(x):
        def backward(dy):
            shapes.append(dy.shape.as_list())
            return dy

        return tf.identity(x), backward

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def run(x):
        y = seen(x)
        return tf.gradients(tf.py_function(lambda y: tf.reduce_sum(y * y), [y], tf.float32), x)[0]

    np.testing.assert_array_equal(run(tf.ones((2, 3))), 2 * np.ones((2, 3)))
    assert shapes == [[None, 3]]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("where", ["nested-function", "loop", "graph"])
def test_a_graph_that_tensorflow_would_keep_is_let_go(where):
    ways = {
        "graph": tensorflow_s_double,
        "loop": lambda x: tf.while_loop(
            lambda i, _: i < 2, lambda i, x: (i + 1, tensorflow_s_double(x)), (0, x), maximum_iterations=2
        )[1],
        "nested-function": tf.function(tensorflow_s_double),
    }
    before = entries()

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = ways[where](x)
        return tape.gradient(y, x)

    concrete = tf.function(gradient, autograph=False).get_concrete_function(tf.TensorSpec(()))
    let_go(concrete.graph)
    graph = weakref.ref(concrete.graph)
    assert entries() - before
    expected = 9.0 if where == "loop" else 3.0
    assert concrete(tf.constant(1.0)) == expected
    # its gradient may be asked for while it is alive
    with tf.GradientTape() as tape:
        x = tf.constant(1.0)
        tape.watch(x)
        y = concrete(x) * x
    assert tape.gradient(y, x) == expected
    del concrete, tape, y
    ways.clear()
    assert entries() == before
    assert graph() is None


def test_a_loaded_model_keeps_its_gradients(tmp_path):
    module = tf.Module()
    module.call = tf.function(tensorflow_s_double, input_signature=[tf.TensorSpec(())])
    tf.saved_model.save(
        module, tmp_path / "saved", options=tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    )
    loaded = tf.saved_model.load(tmp_path / "saved")

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loaded.call(x)
        return tape.gradient(y, x)

    for _ in range(2):
        concrete = tf.function(gradient, autograph=False).get_concrete_function(tf.TensorSpec(()))
        let_go(concrete.graph)
        assert concrete(tf.constant(1.0)) == 3.0
        del concrete
        gc.collect()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["keras", "tfbp.layers", "tfbp.Model"])
def test_a_model_s_programs_go_with_it(kind):
    x, y = np.ones((64, 8), "float32"), np.zeros(64, "int32")

    def fit():
        if kind == "tfbp.Model":
            network = tfbp.Network(8, [tfbp.Dense(4, "relu"), tfbp.Dense(3)], "sparse_categorical_crossentropy")
            model = tfbp.Model(network)
            model.compile("sgd")
            model.fit(x, y, verbose=0)
        else:
            room = keras.layers if kind == "keras" else tfbp.layers
            model = keras.Sequential([keras.Input((8,)), room.Dense(4, "silu"), room.Dense(3, "softmax")])
            model.compile("sgd", "sparse_categorical_crossentropy")
            tfbp.fit(model, x, y, verbose=0)
        return weakref.ref(model)

    fit()
    # twins share programs until a session is cleared
    keras.backend.clear_session()
    before = entries()
    models = [fit() for _ in range(2)]
    keras.backend.clear_session()
    assert entries() == before
    assert [model() for model in models] == [None, None]
