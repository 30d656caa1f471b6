"""Every layer in every way that TensorFlow can run and differentiate it: the same numbers as Keras's own layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import layers

# layer: (name of the class, arguments, shape of x); slopes that float32 holds exactly, as Keras keeps no more of them
LAYERS = {
    "Dense": ("Dense", {"units": 3}, (4, 5)),
    "Dense-no-bias": ("Dense", {"units": 3, "use_bias": False}, (4, 5)),
    "Dense-relu": ("Dense", {"units": 3, "activation": "relu"}, (4, 5)),
    "Dense-silu": ("Dense", {"units": 3, "activation": "silu"}, (4, 5)),
    "Dense-softmax": ("Dense", {"units": 3, "activation": "softmax"}, (4, 5)),
    "Dense-rank3": ("Dense", {"units": 3, "activation": "tanh"}, (4, 2, 5)),
    "Dense-rank4": ("Dense", {"units": 3, "activation": "elu"}, (4, 2, 1, 5)),
    "Dense-glu": ("Dense", {"units": 4, "activation": "glu"}, (4, 5)),
    "Dense-lambda": ("Dense", {"units": 3, "activation": lambda z: z * z}, (4, 5)),
    "Dense-layer": ("Dense", {"units": 3, "activation": keras.layers.ELU(0.5, dtype="float64")}, (4, 5)),
    "Activation-tanh": ("Activation", {"activation": "tanh"}, (4, 5)),
    "Activation-log_softmax": ("Activation", {"activation": "log_softmax"}, (4, 2, 5)),
    "Activation-sparsemax": ("Activation", {"activation": "sparsemax"}, (4, 5)),
    "ReLU": ("ReLU", {}, (4, 5)),
    "ReLU-bounded": ("ReLU", {"max_value": 1.0, "negative_slope": 0.25, "threshold": 0.5}, (4, 2, 5)),
    "LeakyReLU": ("LeakyReLU", {"negative_slope": 0.25}, (4, 5)),
    "ELU": ("ELU", {"alpha": 0.5}, (4, 5)),
    "PReLU": ("PReLU", {"alpha_initializer": "random_normal"}, (4, 2, 5)),
    "PReLU-shared": ("PReLU", {"alpha_initializer": "random_normal", "shared_axes": [1]}, (4, 2, 5)),
    "Softmax": ("Softmax", {}, (4, 5)),
    "Softmax-axis-1": ("Softmax", {"axis": 1}, (4, 2, 5)),
    "Softmax-axes-1-2": ("Softmax", {"axis": [1, 2]}, (4, 2, 5)),
}


def gradients(layer, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return [y, *tape.gradient(y, [x, *weights(layer)], output_gradients=dy, unconnected_gradients="zero")]


def graph(layer, x, dy):
    return tf.function(lambda x, dy: gradients(layer, x, dy))(x, dy)


def unknown_shape(layer, x, dy):
    unknown = [tf.TensorSpec([None] * (len(t.shape) - 1) + [t.shape[-1]], t.dtype) for t in (x, dy)]
    return tf.function(lambda x, dy: gradients(layer, x, dy), input_signature=unknown)(x, dy)


def tape_outside_a_function(layer, x, dy):
    return gradients(tf.function(layer), x, dy)


def second_order(layer, x, dy):
    """The gradient of the squared gradient: the backward pass itself is differentiated."""
    with tf.GradientTape() as tape:
        tape.watch([x, dy])
        first = gradients(layer, x, dy)
        loss = sum(tf.reduce_sum(g * g) for g in first)
    return tape.gradient(loss, [x, dy, *weights(layer)], unconnected_gradients="zero")


def second_order_graph(layer, x, dy):
    return tf.function(lambda x, dy: second_order(layer, x, dy))(x, dy)


def forward_mode(layer, x, dy):
    with tf.autodiff.ForwardAccumulator(x, tf.cos(x)) as accumulator:
        y = layer(x)
    return [accumulator.jvp(y)]


def forward_mode_of_a_function(layer, x, dy):
    return forward_mode(tf.function(layer), x, dy)


def forward_mode_in_a_function(layer, x, dy):
    return tf.function(lambda x: forward_mode(layer, x, dy))(x)


def forward_over_backward(layer, x, dy):
    """A Hessian-vector product."""
    with tf.autodiff.ForwardAccumulator(x, tf.cos(x)) as accumulator:
        first = gradients(layer, x, dy)
    return [accumulator.jvp(g, unconnected_gradients="zero") for g in first]


def batch_jacobian(layer, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return [tape.batch_jacobian(y, x)]


def vectorized_map(layer, x, dy):
    """The gradient of each sample by itself."""
    return tf.vectorized_map(lambda one: gradients(layer, one[0][None], one[1][None]), (x, dy))


def gradient_of_vectorized_map(layer, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.vectorized_map(lambda row: layer(row[None])[0], x)
    return tape.gradient(y, [x, *weights(layer)], output_gradients=dy, unconnected_gradients="zero")


def recompute(layer, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.recompute_grad(lambda x: layer(x))(x)
    return [y, *tape.gradient(y, [x, *weights(layer)], output_gradients=dy, unconnected_gradients="zero")]


MODES = [
    *(gradients, graph, unknown_shape, tape_outside_a_function, second_order, second_order_graph, forward_mode),
    *(forward_mode_of_a_function, forward_mode_in_a_function, forward_over_backward, batch_jacobian, vectorized_map),
    *(gradient_of_vectorized_map, recompute),
]


def weights(layer):
    layer = getattr(layer, "python_function", layer)
    return [w.value for w in layer.trainable_variables]


def pair_of(name):
    """The layer and Keras's own with the same weights; random signed x, and dy for its output."""
    kind, arguments, shape = LAYERS[name]
    rng = np.random.default_rng([*name.encode()])
    x = tf.constant(rng.normal(size=shape))
    ours, theirs = (getattr(module, kind)(**arguments, dtype="float64") for module in (layers, keras.layers))
    dy = tf.constant(rng.normal(size=ours(x).shape))
    theirs.build(shape)
    ours.set_weights([rng.normal(size=w.shape) for w in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    return ours, theirs, x, dy


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(5)
def test_the_numbers_are_keras_s(name, mode):
    ours, theirs, x, dy = pair_of(name)
    got, expected = mode(ours, x, dy), mode(theirs, x, dy)
    assert len(got) == len(expected)
    for a, e in zip(got, expected, strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        np.testing.assert_allclose(a, e, rtol=0, atol=64 * 2**-53 * (1 + np.abs(e).max()))
