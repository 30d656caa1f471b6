"""softmax, log_softmax and sparsemax: the product of dy with the Jacobian of a row, without ever forming the matrix.

z pre-activation, y output, both (B, O), or any shape with the row along `axis`, which may be several axes for softmax.
"""

import tensorflow as tf


def softmax_forward(z, axis=-1):
    if isinstance(axis, int):
        y = tf.nn.softmax(z, axis=axis)
    else:
        y = tf.exp(z - tf.reduce_logsumexp(z, axis=axis, keepdims=True))
    return y, y


def softmax_backward(dy, y, axis=-1):
    # y = exp(z) / Σ exp(z),  J = diag(y) - y yᵀ              dz = y · (dy - Σ dy y)
    return y * (dy - tf.reduce_sum(dy * y, axis=axis, keepdims=True))


def log_softmax_forward(z):
    y = tf.nn.log_softmax(z)
    return y, y


def log_softmax_backward(dy, y):
    # y = z - log Σ exp(z),  J = I - 1 softmax(z)ᵀ            dz = dy - softmax(z) Σ dy
    return dy - tf.exp(y) * tf.reduce_sum(dy, axis=-1, keepdims=True)


def sparsemax_forward(z):
    shifted = z - tf.reduce_max(z, axis=-1, keepdims=True)
    sums = tf.cumsum(tf.sort(shifted, axis=-1, direction="DESCENDING"), axis=-1)
    # the first k sorted numbers shift the row to the sum 1 by (sums_k - 1) / k; tau is the largest of these
    k = tf.range(1, tf.shape(z)[-1] + 1)
    tau = tf.reduce_max((sums - 1) / tf.cast(k, z.dtype), axis=-1, keepdims=True)
    y = tf.maximum(shifted - tau, 0)
    return y, y


def sparsemax_backward(dy, y):
    # y = max(z - tau, 0),  tau = (Σ s z - 1) / Σ s           dz = s · (dy - Σ s dy / Σ s);  s = 1 where y > 0
    s = tf.cast(y > 0, dy.dtype)
    mean = tf.reduce_sum(s * dy, axis=-1, keepdims=True) / tf.reduce_sum(s, axis=-1, keepdims=True)
    return s * (dy - mean)


ACTIVATIONS = {
    "softmax": (softmax_forward, softmax_backward),
    "log_softmax": (log_softmax_forward, log_softmax_backward),
    "sparsemax": (sparsemax_forward, sparsemax_backward),
}
