"""softmax and log_softmax over the last axis, forward only: tf.GradientTape differentiates. z is (B, O)."""

import tensorflow as tf


def softmax(z):
    return tf.nn.softmax(z)


def log_softmax(z):
    return tf.nn.log_softmax(z)


ACTIVATIONS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
}
