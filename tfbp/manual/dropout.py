"""Dropout with a mask that depends on its seed alone, and its backward under it.

x, y of any shape; seed two integers; the mask has x's shape, or `noise_shape`, with 1 along an axis with one number.
"""

import tensorflow as tf


def dropout_forward(x, seed, *, rate, noise_shape=None):
    """Returns y = x / (1 - rate) where the mask is True, else 0, and the residual: the mask, one byte for each number.

    Example:
        >>> x = tf.ones([8])
        >>> y, residuals = dropout_forward(x, [5, -7], rate=0.25)
        >>> bool(tf.reduce_all(dropout_backward(x, residuals) == y)), y.numpy().round(2).tolist()[:3]
        (True, [1.3300000429153442, 0.0, 0.0])
    """
    shape = tf.shape(x) if noise_shape is None else noise_shape
    mask = dropout_mask(shape, seed, rate)
    return _kept_of(x, mask, rate), (mask, rate)


def dropout_backward(dy, residuals):
    """Returns dx of x's shape: by the same mask and the same factor."""
    mask, rate = residuals
    # y = x / (1 - rate) where the mask is True, else 0
    return _kept_of(dy, mask, rate)


def dropout_mask(shape, seed, rate):
    """Returns the mask, equal in every dtype and mode: True where the 23 lowest random bits are at least the rate."""
    # Philox by name, and its bits: TensorFlow's default generator and its floats differ under XLA
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    # float32 holds all numbers of 23 bits
    number = tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(0x7FFFFF, tf.uint32)), tf.float32)
    return number >= tf.constant(rate, tf.float32) * 2.0**23


def _kept_of(x, mask, rate):
    return tf.zeros_like(x) if rate >= 1 else tf.where(mask, x * tf.constant(1 / (1 - rate), x.dtype), 0)


def forward(layer, weights, x, *, training, seed):
    if not training:
        return x, None, {}
    # the batch's size is known only at run time
    shape = layer.noise_shape and [n or x.shape[axis] or tf.shape(x)[axis] for axis, n in enumerate(layer.noise_shape)]
    return *dropout_forward(x, _pair(seed), rate=layer.rate, noise_shape=shape), {}


def backward(layer, dz, residuals):
    return dz if residuals is None else dropout_backward(dz, residuals), {}


def _pair(seed):
    return tf.stack([tf.cast(part, tf.int64) for part in seed])


KINDS = {"Dropout": (forward, backward)}
