"""Normal noise that depends on its seed alone, forward only. x, y of any shape; seed two integers."""

import math

import tensorflow as tf


def gaussian_noise_forward(x, seed, *, stddev):
    """Returns y = x + stddev · n, with n as the imaginary part of √(-2 ln u) exp(i (2πv + π/2))."""
    shape = tf.shape(x)
    bits = tf.random.stateless_uniform(
        tf.concat([[2], shape], axis=0), seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox"
    )
    places = tf.cast(bits, tf.float64)
    radius = tf.sqrt(2 * (32 * tf.math.log(tf.constant(2.0, tf.float64)) - tf.math.log(places[0] + 0.5)))
    noise = stddev * radius * tf.sin((places[1] + 0.5) * (math.pi / 2**31) + math.pi / 2)
    return x + tf.cast(noise, x.dtype)


def forward(layer, weights, x, *, training, seed):
    if not training:
        return tf.identity(x), {}
    seed = tf.stack([tf.cast(part, tf.int64) for part in seed])
    return gaussian_noise_forward(x, seed, stddev=layer.stddev), {}


KINDS = {"GaussianNoise": forward}
