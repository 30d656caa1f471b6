"""Dropout with a mask that depends on its seed alone, forward only: tf.GradientTape differentiates.

x, y of any shape; seed two integers; the mask has x's shape, or `noise_shape`, with 1 along an axis with one number.
"""

import tensorflow as tf


def dropout_forward(x, seed, *, rate, noise_shape=None):
    shape = tf.shape(x) if noise_shape is None else noise_shape
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    # the bits of a float32 number from 1 to 2: TensorFlow's own floats differ under XLA
    number = tf.bitcast(tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(bits, 0x7FFFFF), 0x3F800000), tf.float32) - 1
    dropped, zero = number < rate, tf.constant(0, x.dtype)
    return tf.where(dropped, zero, x if rate >= 1 else x / tf.constant(1 - rate, x.dtype))


def forward(layer, weights, x, *, training, seed):
    if not training:
        return tf.identity(x), {}
    seed, shape = tf.stack([tf.cast(part, tf.int64) for part in seed]), None
    if layer.noise_shape is not None:
        shape = [n or x.shape[axis] or tf.shape(x)[axis] for axis, n in enumerate(layer.noise_shape)]
    return dropout_forward(x, seed, rate=layer.rate, noise_shape=shape), {}


KINDS = {"Dropout": forward}
