"""Smooth elementwise activations, forward only: tf.GradientTape differentiates. z and the result are (B, O)."""

import math

import tensorflow as tf


def sigmoid(z):
    return tf.sigmoid(z)


def tanh(z):
    return tf.tanh(z)


def softplus(z):
    return tf.math.softplus(z)


def softsign(z):
    return tf.math.softsign(z)


def exponential(z):
    return tf.exp(z)


def silu(z):
    return tf.nn.silu(z)


def gelu(z, approximate):
    # tf.nn.gelu keeps its constants in float32, and so only ten digits in float64
    if approximate:
        return z / 2 * (1 + tf.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * tf.pow(z, 3))))
    return z / 2 * (1 + tf.math.erf(z / math.sqrt(2)))


def mish(z):
    return z * tf.tanh(tf.math.softplus(z))


def log_sigmoid(z):
    return tf.math.log_sigmoid(z)


def tanh_shrink(z):
    return z - tf.tanh(z)


def squareplus(z, b):
    return (z + tf.sqrt(tf.square(z) + b)) / 2
