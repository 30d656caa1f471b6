"""Smooth elementwise activations, forward only: tf.GradientTape differentiates. z and the result are (B, O)."""

import math

import tensorflow as tf


def sigmoid(z):
    return tf.sigmoid(z)


def tanh(z):
    return tf.tanh(z)


def softplus(z):
    # the GPU has no bfloat16 kernel
    return tf.cast(tf.math.softplus(tf.cast(z, tf.float32)), z.dtype) if z.dtype == tf.bfloat16 else tf.math.softplus(z)


def softsign(z):
    # the GPU has no bfloat16 kernel
    return tf.cast(tf.math.softsign(tf.cast(z, tf.float32)), z.dtype) if z.dtype == tf.bfloat16 else tf.math.softsign(z)


def gaussian(z):
    return tf.exp(-tf.square(z))


def exponential(z):
    return tf.exp(z)


def silu(z):
    return tf.nn.silu(z)


def gelu(z, approximate):
    # tf.nn.gelu keeps its constants in float32, with only ten correct digits in float64
    if approximate:
        return z / 2 * (1 + tf.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * tf.pow(z, 3))))
    return z / 2 * (1 + tf.math.erf(z / math.sqrt(2)))


def mish(z):
    return z * tf.tanh(softplus(z))


def log_sigmoid(z):
    return -softplus(-z)


def tanh_shrink(z):
    return z - tf.tanh(z)


def squareplus(z, b):
    return (z + tf.sqrt(tf.square(z) + b)) / 2


ACTIVATIONS = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softplus": softplus,
    "softsign": softsign,
    "gaussian": gaussian,
    "exponential": exponential,
    "silu": silu,
    "gelu": gelu,
    "mish": mish,
    "log_sigmoid": log_sigmoid,
    "tanh_shrink": tanh_shrink,
    "squareplus": squareplus,
}
