"""Piecewise activations, forward only: tf.GradientTape differentiates. z and the result are (B, O).

At a kink the tape takes one side's derivative, or 0; the reference's docstrings name it.
"""

import tensorflow as tf

# Keras's constants for selu: https://arxiv.org/abs/1706.02515
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def linear(z):
    return z


def relu(z, negative_slope=0.0, max_value=None, threshold=0.0):
    if threshold == 0 and max_value is None:
        return tf.nn.relu(z) if negative_slope == 0 else leaky_relu(z, negative_slope)
    if threshold == 0:
        above = tf.nn.relu6(z) if max_value == 6 else tf.clip_by_value(tf.nn.relu(z), 0, max_value)
    else:
        above = tf.where(z > threshold, z, 0)
        above = above if max_value is None else tf.clip_by_value(above, 0, max_value)
    return above if negative_slope == 0 else above - negative_slope * tf.nn.relu(threshold - z)


def relu6(z):
    return tf.nn.relu6(z)


def leaky_relu(z, negative_slope):
    # tf.nn.leaky_relu keeps its slope in float32, with only seven correct digits in float64
    if z.dtype == tf.float64:
        return tf.where(z > 0, z, negative_slope * z)
    return tf.nn.leaky_relu(z, alpha=negative_slope)


def elu(z, alpha):
    return tf.where(z > 0, z, alpha * tf.nn.elu(z))


def celu(z, alpha):
    # tf.where keeps the tape from summing both sides' derivatives at z = 0, as maximum + minimum would
    return tf.where(z > 0, z, alpha * tf.math.expm1(tf.where(z > 0, tf.zeros_like(z), z) / alpha))


def selu(z):
    # at 0, tf.nn.selu's gradient is that of one side, and of the other side under XLA
    return SELU_SCALE * tf.where(z >= 0, z, SELU_ALPHA * tf.nn.elu(z))


def hard_sigmoid(z):
    return tf.nn.relu6(z + 3) / 6


def hard_silu(z):
    return z * tf.nn.relu6(z + 3) / 6


def hard_tanh(z):
    return tf.clip_by_value(z, -1, 1)


def hard_shrink(z, threshold):
    return tf.where(tf.abs(z) > threshold, z, tf.zeros_like(z))


def soft_shrink(z, threshold):
    return tf.where(z > threshold, z - threshold, tf.where(z < -threshold, z + threshold, tf.zeros_like(z)))


def sparse_plus(z):
    return tf.where(z >= 1, z, tf.where(z <= -1, tf.zeros_like(z), tf.square(z + 1) / 4))


def sparse_sigmoid(z):
    return tf.where(z >= 1, tf.ones_like(z), tf.where(z <= -1, tf.zeros_like(z), (z + 1) / 2))


def threshold(z, threshold, default_value):
    return tf.where(z > threshold, z, tf.fill(tf.shape(z), tf.constant(default_value, z.dtype)))


ACTIVATIONS = {
    "linear": linear,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "celu": celu,
    "selu": selu,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_tanh": hard_tanh,
    "hard_shrink": hard_shrink,
    "soft_shrink": soft_shrink,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "threshold": threshold,
}
