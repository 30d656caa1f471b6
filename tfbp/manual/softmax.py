"""softmax and log_softmax: the product of dy with the full Jacobian of a row, without ever forming the matrix.

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


ACTIVATIONS = {
    "softmax": (softmax_forward, softmax_backward),
    "log_softmax": (log_softmax_forward, log_softmax_backward),
}
