"""Normal noise that depends on its seed alone, and its backward under it. x, y of any shape; seed two integers."""

import math

import tensorflow as tf


def gaussian_noise_forward(x, seed, *, stddev):
    """Returns y = x + stddev · n, with standard normal numbers n.

    Example:
        >>> gaussian_noise_forward(tf.zeros([3]), [5, -7], stddev=1.0).numpy().round(3).tolist()
        [-0.2070000022649765, 0.07100000232458115, -0.5929999947547913]
    """
    return x + tf.cast(stddev * normal_numbers(tf.shape(x), seed), x.dtype)


def gaussian_noise_backward(dy):
    """Returns dx of x's shape: the noise is a constant."""
    # y = x + stddev · n
    return dy


def normal_numbers(shape, seed):
    """Returns standard normal numbers in float64, equal in every mode, from two uniform ones each.

        n = √(-2 ln u) cos 2πv

    Reference: Box and Muller (1958), https://doi.org/10.1214/aoms/1177706645
    """
    twice = tf.concat([[2], shape], axis=0)
    # Philox by name, and its bits: TensorFlow's default generator and its normal numbers differ under XLA
    bits = tf.random.stateless_uniform(twice, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    # in the middle of 2^32 intervals, so that no logarithm is of 0
    u, v = tf.unstack((tf.cast(bits, tf.float64) + 0.5) / 2.0**32)
    return tf.sqrt(-2.0 * tf.math.log(u)) * tf.cos(2.0 * math.pi * v)


def forward(layer, weights, x, *, training, seed):
    if not training:
        return x, None, {}
    pair = tf.stack([tf.cast(part, tf.int64) for part in seed])
    return gaussian_noise_forward(x, pair, stddev=layer.stddev), None, {}


def backward(layer, dz, residuals):
    return gaussian_noise_backward(dz), {}


KINDS = {"GaussianNoise": (forward, backward)}
