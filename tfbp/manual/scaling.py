"""Scaling and shifting by numbers, by statistics, or by one weight per channel, each backward under its forward.

B batch; x and y (B, …, C); gamma (C,); mean and variance (C,), in float32 at least.
"""

import tensorflow as tf

from tfbp.manual.window import wide

LEAST = 1e-7  # the smallest standard deviation, as in Keras


def rescaling_forward(x, scale, offset):
    """Returns y = scale · x + offset."""
    return x * tf.constant(scale, x.dtype) + tf.constant(offset, x.dtype)


def rescaling_backward(dy, scale):
    # y = scale · x + offset                           (B, …, C) <- (B, …, C)
    return dy * tf.constant(scale, dy.dtype)


def normalization_forward(x, mean, variance):
    """Returns y = (x - mean) / deviation, and the deviation."""
    deviation = tf.cast(tf.maximum(tf.sqrt(variance), LEAST), x.dtype)
    return (x - tf.cast(mean, x.dtype)) / deviation, deviation


def normalization_backward(dy, deviation):
    # y = (x - mean) / deviation                       (B, …, C) <- (B, …, C)
    return dy / deviation


def layer_scale_forward(x, gamma):
    """Returns y = x · gamma, and the residuals (x, gamma)."""
    return x * gamma, (x, gamma)


def layer_scale_backward(dy, residuals):
    """Returns dx (B, …, C) and dgamma (C,)."""
    x, gamma = residuals
    # y = x · gamma                                    (B, …, C) <- (B, …, C) (C,)
    dgamma = tf.reduce_sum(wide(dy) * wide(x), axis=[*range(x.shape.rank - 1)])
    return dy * gamma, tf.cast(dgamma, gamma.dtype)


def _rescaling(layer, weights, x, *, training, seed):
    return rescaling_forward(x, layer.scale, layer.offset), layer.scale, {}


def _rescaling_back(layer, dz, residuals):
    return rescaling_backward(dz, residuals), {}


def _normalization(layer, weights, x, *, training, seed):
    return *normalization_forward(x, **weights), {}


def _normalization_back(layer, dz, residuals):
    return normalization_backward(dz, residuals), {}


def _layer_scale(layer, weights, x, *, training, seed):
    return *layer_scale_forward(x, **weights), {}


def _layer_scale_back(layer, dz, residuals):
    dx, dgamma = layer_scale_backward(dz, residuals)
    return dx, {"gamma": dgamma}


KINDS = {
    "LayerScale": (_layer_scale, _layer_scale_back),
    "Rescaling": (_rescaling, _rescaling_back),
    "Normalization": (_normalization, _normalization_back),
}
