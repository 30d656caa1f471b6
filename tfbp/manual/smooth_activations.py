"""Smooth elementwise activations, each backward under its forward.

z pre-activation, y = f(z), dy and dz their gradients; all tensors of shape (B, O). The second argument of a backward
is the residuals of its forward.
"""

import math

import tensorflow as tf


def sigmoid_forward(z):
    y = tf.sigmoid(z)
    return y, y


def sigmoid_backward(dy, y):
    # y = 1 / (1 + exp(-z))                                   dz = dy · y (1 - y)
    return dy * y * (1 - y)


def tanh_forward(z):
    y = tf.tanh(z)
    return y, y


def tanh_backward(dy, y):
    # y = tanh(z)                                             dz = dy · (1 - y²)
    return dy * (1 - y * y)


def softplus_forward(z):
    if z.dtype == tf.bfloat16:  # the GPU has no bfloat16 kernel for it
        return tf.cast(tf.math.softplus(tf.cast(z, tf.float32)), z.dtype), z
    return tf.math.softplus(z), z


def softplus_backward(dy, z):
    # y = log(1 + exp(z))                                     dz = dy · sigmoid(z)
    return dy * tf.sigmoid(z)


def softsign_forward(z):
    d = 1 + tf.abs(z)
    return z / d, d


def softsign_backward(dy, d):
    # y = z / d,  d = 1 + |z|                                 dz = dy / d²; d² itself would overflow in float16
    return dy / d / d


def gaussian_forward(z):
    y = tf.exp(-z * z)
    return y, (z, y)


def gaussian_backward(dy, residuals):
    z, y = residuals
    # y = exp(-z²)                                            dz = dy · (-2 z y)
    return dy * -2 * z * y


def exponential_forward(z):
    y = tf.exp(z)
    return y, y


def exponential_backward(dy, y):
    # y = exp(z)                                              dz = dy · y
    return dy * y


def silu_forward(z):
    s = tf.sigmoid(z)
    return z * s, (z, s)


def silu_backward(dy, residuals):
    z, s = residuals
    # y = z s,  s = sigmoid(z)                                dz = dy · (s + z s (1 - s))
    return dy * s * (1 + z * (1 - s))


def gelu_forward(z, approximate):
    # both in the order of operations that converters (TFLite) recognize as gelu
    if approximate:
        t = tf.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * (z * z * z)))
        return 0.5 * z * (1 + t), (z, t)
    # 2 Φ(z), by erfc, which is exact for very negative z, where 1 + erf cancels
    twice_cdf = tf.math.erfc(-z * math.sqrt(0.5))
    return 0.5 * z * twice_cdf, (z, twice_cdf)


def gelu_backward(dy, residuals, approximate):
    if approximate:
        z, t = residuals
        # t = tanh(√(2/π) (z + 0.044715 z³))                  dt/dz = (1 - t²) √(2/π) (1 + 3 · 0.044715 z²)
        dt = (1 - t * t) * (math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z))
        # y = ½ z (1 + t)                                     dz = dy · ½ (1 + t + z dt/dz)
        return dy * (0.5 * (1 + t + z * dt))
    z, twice_cdf = residuals
    # y = z Φ(z)                                              dz = dy · (Φ(z) + z φ(z)),  φ(z) = exp(-z²/2) / √(2π)
    return dy * (0.5 * twice_cdf + z * (tf.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))))


def mish_forward(z):
    t = tf.tanh(softplus_forward(z)[0])
    return z * t, (z, t)


def mish_backward(dy, residuals):
    z, t = residuals
    # y = z t,  t = tanh(softplus(z))                         dz = dy · (t + z (1 - t²) sigmoid(z))
    return dy * (t + z * (1 - t * t) * tf.sigmoid(z))


def log_sigmoid_forward(z):
    return -softplus_forward(-z)[0], z


def log_sigmoid_backward(dy, z):
    # y = -softplus(-z)                                       dz = dy · sigmoid(-z)
    return dy * tf.sigmoid(-z)


def tanh_shrink_forward(z):
    t = tf.tanh(z)
    return z - t, t


def tanh_shrink_backward(dy, t):
    # y = z - t,  t = tanh(z)                                 dz = dy · t²
    return dy * t * t


def squareplus_forward(z, b):
    root = tf.sqrt(z * z + b)
    return 0.5 * (z + root), (z, root)


def squareplus_backward(dy, residuals, b):
    z, root = residuals
    # y = ½ (z + √(z² + b))                                   dz = dy · ½ (1 + z / √(z² + b))
    return dy * (0.5 * (1 + z / root))


ACTIVATIONS = {
    "sigmoid": (sigmoid_forward, sigmoid_backward),
    "tanh": (tanh_forward, tanh_backward),
    "softplus": (softplus_forward, softplus_backward),
    "softsign": (softsign_forward, softsign_backward),
    "gaussian": (gaussian_forward, gaussian_backward),
    "exponential": (exponential_forward, exponential_backward),
    "silu": (silu_forward, silu_backward),
    "gelu": (gelu_forward, gelu_backward),
    "mish": (mish_forward, mish_backward),
    "log_sigmoid": (log_sigmoid_forward, log_sigmoid_backward),
    "tanh_shrink": (tanh_shrink_forward, tanh_shrink_backward),
    "squareplus": (squareplus_forward, squareplus_backward),
}
