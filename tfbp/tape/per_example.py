"""Each example's own gradient, by a tape for each example, vectorized: every g_b is made, in its full size.

B batch, L layers; g_b is the gradient of sample_weight[b] · losses[b], without 1/B and without penalties.
"""

import tensorflow as tf

from tfbp.checks import check_clip
from tfbp.tape.backprop import loss_and_gradients
from tfbp.tape.regularizers import penalty_forward


def example_gradients(network, parameters, x, y, sample_weight=None):
    """g_b of every example: as `parameters`, each tensor with a first axis B more, in x's dtype.

    Reference: https://www.tensorflow.org/api_docs/python/tf/vectorized_map
    """
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    parameters = _cast(parameters, x.dtype)
    examples = network.without_penalties()
    weight = tf.ones(tf.shape(x)[:1], _wide(x.dtype)) if sample_weight is None else sample_weight

    def one(example):
        x, y, weight = (tensor[None] for tensor in example)
        return loss_and_gradients(examples, parameters, x, y, weight)[1]

    return tf.vectorized_map(one, (x, y, weight))


def gradient_norms(network, parameters, x, y, sample_weight=None):
    """‖g_b‖ in each layer, (B, L), at least float32."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    return tf.stack([tf.linalg.norm(_flat(layer.values()), axis=1) for layer in gradients], axis=1)


def loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight=None):
    """The loss, and 1/B Σ_b min(1, clip / ‖g_b‖) g_b + the gradient of the penalties."""
    check_clip("clip", clip)
    x = tf.convert_to_tensor(x)
    parameters = _cast(parameters, x.dtype)
    loss, _ = loss_and_gradients(network, parameters, x, y, sample_weight)
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    clipped = tf.clip_by_norm(_flat(g for layer in gradients for g in layer.values()), clip, axes=[1])
    flat = iter(tf.split(tf.reduce_mean(clipped, axis=0), [tf.size(w) for layer in parameters for w in layer.values()]))
    means = [{name: tf.reshape(next(flat), tf.shape(w)) for name, w in layer.items()} for layer in parameters]
    with tf.GradientTape(watch_accessed_variables=False) as penalty_tape:
        penalty_tape.watch(parameters)
        penalties = tf.zeros([], loss.dtype)
        for layer, weights in zip(network.layers, parameters, strict=True):
            for name, w in weights.items():
                regularizer = getattr(layer, f"{name}_regularizer")
                if regularizer is not None:
                    penalties += penalty_forward(regularizer, tf.cast(w, loss.dtype))
    of_penalties = penalty_tape.gradient(penalties, parameters, unconnected_gradients="zero")
    return loss, tf.nest.map_structure(lambda mean, dw: tf.cast(mean, dw.dtype) + dw, means, of_penalties)


def gradient_mean_and_variance(network, parameters, x, y, sample_weight=None):
    """The mean and the variance of g_b over the batch, elementwise, each in the shape of `parameters`, in float64."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    moments = [{name: tf.nn.moments(tf.cast(g, tf.float64), [0]) for name, g in layer.items()} for layer in gradients]
    mean, variance = ([{name: pair[i] for name, pair in layer.items()} for layer in moments] for i in (0, 1))
    return mean, variance


def _flat(gradients):
    """One row of all elements for each example, at least float32."""
    rows = [tf.reshape(g, [tf.shape(g)[0], -1]) for g in gradients]
    return tf.cast(tf.concat(rows, axis=1), _wide(rows[0].dtype))


def _wide(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def _cast(parameters, dtype):
    return [{name: tf.cast(tf.convert_to_tensor(w), dtype) for name, w in layer.items()} for layer in parameters]
