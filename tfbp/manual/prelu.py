"""The parametric relu, with a learned slope alpha below 0; its backward under its forward.

x, y (B, …); alpha of x's shape without B, with 1 for every axis that shares one slope.
"""

import tensorflow as tf


def prelu_forward(x, alpha):
    """Returns y = max(x, 0) - alpha · max(-x, 0)."""
    # this order of operations is prelu for converters (TFLite), which make one operation of it
    below = tf.nn.relu(-x)
    return tf.nn.relu(x) + -alpha * below, (x, alpha, below)


def prelu_backward(dy, residuals):
    """Returns dx and dalpha; the derivative at x = 0 is 0, as in Keras."""
    x, alpha, below = residuals
    # y = max(x, 0) - alpha below,  below = max(-x, 0)
    sign = tf.sign(x)
    dx = dy * (tf.nn.relu(sign) - alpha * tf.minimum(sign, 0))
    dalpha = -_sum_to_shape_of(alpha, dy * below)
    return dx, dalpha


def _sum_to_shape_of(alpha, terms):
    shared = [0, *(axis + 1 for axis, size in enumerate(alpha.shape) if size == 1)]
    # reduce_sum of float16 sums in float16, and a long batch loses its digits
    wide = tf.cast(terms, tf.float32) if terms.dtype == tf.float16 else terms
    return tf.cast(tf.reshape(tf.reduce_sum(wide, axis=shared), alpha.shape), alpha.dtype)
