"""Computes each example's gradient by one tape for each example, vectorized: every g_b in its full size.

B batch, L layers; g_b is the gradient of sample_weight[b] · losses[b], without 1/B and without penalties.
"""

import tensorflow as tf

from tfbp.errors import check_positive
from tfbp.network import Private, at, map_weights, named_weights
from tfbp.tape import backprop
from tfbp.tape.backprop import dtype_of, loss_and_gradients
from tfbp.tape.regularizers import penalty_forward


def example_gradients(network, parameters, x, y, sample_weight=None, *, seed=None):
    """Returns g_b of every example: in the shape of `parameters`, each tensor with a first axis B, in x's dtype.

    Where layers draw, it is the Jacobian of a pass of the whole batch: one example alone would draw other numbers.

    Reference: https://www.tensorflow.org/api_docs/python/tf/vectorized_map
    """
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    if network.draws:
        return backprop.example_gradients(network, parameters, x, y, sample_weight, seed=seed)
    examples = network.without_penalties()
    dtype = _wide(dtype_of(network, parameters, x))
    weight = tf.ones(tf.shape(x)[:1], dtype) if sample_weight is None else sample_weight

    def one(example):
        x, y, weight = (tensor[None] for tensor in example)
        return loss_and_gradients(examples, parameters, x, y, weight)[1]

    return tf.vectorized_map(one, (x, y, weight))


def gradient_norms(network, parameters, x, y, sample_weight=None):
    """Returns ‖g_b‖ in each layer, (B, L), at least float32."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    dtype = _wide(dtype_of(network, parameters, x))
    return tf.stack([_norm(layer, tf.shape(x)[0], dtype) for layer in gradients], axis=1)


def loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight=None, *, seed=None):
    """Returns the loss, and 1/B Σ_b min(1, clip / ‖g_b‖) g_b + the gradient of the penalties."""
    loss, _ = loss_and_gradients(network, parameters, x, y, sample_weight, seed=seed)
    private = Private(clip, map_weights(tf.zeros_like, parameters), tf.shape(x)[0])
    return loss, private_gradients(network, parameters, x, y, private, sample_weight, seed=seed)


def private_gradients(network, parameters, x, y, private, sample_weight=None, *, seed=None):
    """Returns (Σ_b min(1, clip / ‖g_b‖) g_b + noise) / expected + the gradient of the penalties, of a `Private`.

    Reference: Abadi et al., Deep learning with differential privacy (2016), https://arxiv.org/abs/1607.00133
    """
    clip, noise, expected = private
    check_positive("clip", clip)
    x = tf.convert_to_tensor(x)
    dtype = dtype_of(network, parameters, x)
    gradients = example_gradients(network, parameters, x, y, sample_weight, seed=seed)
    each = [g for _, _, g in named_weights(gradients)]
    clipped = tf.clip_by_norm(_flat(each), clip, axes=[1])
    sums = iter(tf.split(tf.reduce_sum(clipped, axis=0), [tf.size(g[0]) for g in each]))
    found = map_weights(lambda g: tf.reshape(next(sums), tf.shape(g)[1:]), gradients)
    for place, name, total in list(named_weights(found)):
        total += tf.cast(at(noise, place)[name], total.dtype)
        at(found, place)[name] = total / tf.cast(expected, total.dtype)
    for place, name, regularizer in network.penalties:
        w = tf.cast(tf.convert_to_tensor(at(parameters, place)[name]), dtype)
        with tf.GradientTape(watch_accessed_variables=False) as penalty_tape:
            penalty_tape.watch(w)
            penalty = penalty_forward(regularizer, tf.cast(w, _wide(dtype)))
        layer = at(found, place)
        layer[name] = tf.cast(layer[name], dtype) + penalty_tape.gradient(penalty, w)
    return map_weights(lambda g: tf.cast(g, dtype), found)


def gradient_mean_and_variance(network, parameters, x, y, sample_weight=None):
    """Returns the mean and the variance of g_b over the batch, in the shape of `parameters`, in float64."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    moments = map_weights(lambda g: tf.nn.moments(tf.cast(g, tf.float64), [0]), gradients)
    mean, variance = (map_weights(lambda pair, i=i: pair[i], moments) for i in (0, 1))
    return mean, variance


def _norm(layer, examples, dtype):
    """Returns the norm of each example's gradient of one layer's weights, (B,); 0 without weights."""
    weights = [g for _, _, g in named_weights([layer])]
    return tf.linalg.norm(_flat(weights), axis=1) if weights else tf.zeros([examples], dtype)


def _flat(gradients):
    """Returns one row of all elements for each example, at least float32."""
    rows = [tf.reshape(g, [tf.shape(g)[0], -1]) for g in gradients]
    return tf.cast(tf.concat(rows, axis=1), _wide(rows[0].dtype))


def _wide(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32
