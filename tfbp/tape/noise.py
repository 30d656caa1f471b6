"""Normal noise that depends on its seed alone, forward only. x, y of any shape; seed two integers."""

import math

import tensorflow as tf


def gaussian_noise_forward(x, seed, *, stddev):
    """Returns y = x + stddev · √(-2 ln u) cos 2πv."""
    shape = tf.concat([[2], tf.shape(x)], axis=0)
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    u, v = tf.unstack(tf.cast(bits, tf.float64) * 2.0**-32 + 2.0**-33)
    radius = stddev * tf.sqrt(-2 * tf.math.log(u))
    return x + tf.cast(radius * tf.cos(2 * math.pi * v), x.dtype)


def forward(layer, weights, x, *, training, seed):
    if not training:
        return tf.identity(x), {}
    seed = tf.stack([tf.cast(part, tf.int64) for part in seed])
    return gaussian_noise_forward(x, seed, stddev=layer.stddev), {}


KINDS = {"GaussianNoise": forward}
