"""Max and average pooling, and both over the whole image, forward only: tf.GradientTape differentiates.

B batch, H and W the height and width of x, P and Q of y, C channels; x (B, H, W, C), y (B, P, Q, C), or (B, C)
for pooling over the whole image. Of several equal maxima, the first of a window has the gradient; over the whole image
they share it.
"""

import math
from functools import partial

import tensorflow as tf


def max_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    # in a graph, oneDNN's bfloat16 gradient of larger windows is wrong, and differs at every call
    wide = tf.float32 if x.dtype == tf.bfloat16 and math.prod(pool_size) > 256 else x.dtype
    return tf.cast(tf.nn.max_pool2d(tf.cast(x, wide), pool_size, strides or pool_size, padding.upper()), x.dtype)


def average_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    return tf.nn.avg_pool2d(x, pool_size, strides or pool_size, padding.upper())


def global_average_pool2d_forward(x):
    return tf.reduce_mean(x, axis=[1, 2])


def global_max_pool2d_forward(x):
    return tf.reduce_max(x, axis=[1, 2])


def global_average_pool1d_forward(x, *, keepdims=False):
    return tf.reduce_mean(x, axis=1, keepdims=keepdims)


def _window(function, layer, weights, x, *, training, seed):
    return function(x, pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding), {}


def _whole(function, layer, weights, x, *, training, seed):
    y = function(x)
    return y[:, None, None, :] if layer.keepdims else y, {}


def _global_average_pool1d(layer, weights, x, *, training, seed):
    x, beside = layer.apart(x)
    if beside:
        shown = tf.cast(beside["mask"] != 0, x.dtype)[..., None]
        y = tf.reduce_sum(x * shown, axis=1, keepdims=layer.keepdims)
        return y / tf.reduce_sum(shown, axis=1, keepdims=layer.keepdims), {}
    return global_average_pool1d_forward(x, keepdims=layer.keepdims), {}


KINDS = {
    "MaxPooling2D": partial(_window, max_pool2d_forward),
    "AveragePooling2D": partial(_window, average_pool2d_forward),
    "GlobalMaxPooling2D": partial(_whole, global_max_pool2d_forward),
    "GlobalAveragePooling2D": partial(_whole, global_average_pool2d_forward),
    "GlobalAveragePooling1D": _global_average_pool1d,
}
