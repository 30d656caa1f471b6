"""Scaling and shifting by numbers that no gradient moves, each backward under its forward.

B batch; x and y (B, …, C); mean and variance (C,), in float32 at least.
"""

import tensorflow as tf

LEAST = 1e-7  # below it, a standard deviation counts as this, as in Keras


def rescaling_forward(x, scale, offset):
    """y = scale · x + offset."""
    return x * tf.constant(scale, x.dtype) + tf.constant(offset, x.dtype)


def rescaling_backward(dy, scale):
    # y = scale · x + offset                           (B, …, C) <- (B, …, C)
    return dy * tf.constant(scale, dy.dtype)


def normalization_forward(x, mean, variance):
    """y = (x - mean) / deviation, and the deviation."""
    deviation = tf.cast(tf.maximum(tf.sqrt(variance), LEAST), x.dtype)
    return (x - tf.cast(mean, x.dtype)) / deviation, deviation


def normalization_backward(dy, deviation):
    # y = (x - mean) / deviation                       (B, …, C) <- (B, …, C)
    return dy / deviation


def _rescaling(layer, weights, x, *, training, seed):
    return rescaling_forward(x, layer.scale, layer.offset), layer.scale, {}


def _rescaling_back(layer, dz, residuals):
    return rescaling_backward(dz, residuals), {}


def _normalization(layer, weights, x, *, training, seed):
    return *normalization_forward(x, **weights), {}


def _normalization_back(layer, dz, residuals):
    return normalization_backward(dz, residuals), {}


KINDS = {
    "Rescaling": (_rescaling, _rescaling_back),
    "Normalization": (_normalization, _normalization_back),
}
