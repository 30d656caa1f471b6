"""softmax, log_softmax and sparsemax over the last axis, forward only: tf.GradientTape differentiates. z is (B, O)."""

import tensorflow as tf


def softmax(z):
    return tf.nn.softmax(z)


def log_softmax(z):
    return tf.nn.log_softmax(z)


def sparsemax(z):
    # a shift of the row changes nothing; without it, large numbers round the 1 away
    z = z - tf.stop_gradient(tf.reduce_max(z, axis=-1, keepdims=True))
    row = tf.sort(z, axis=-1, direction="DESCENDING")
    k = tf.cast(tf.range(1, tf.shape(z)[-1] + 1), z.dtype)
    # the sorted numbers above tau are the first ones, with a mean distance to the next below 1 / k
    seen = tf.cast(1 + k * row > tf.cumsum(row, axis=-1), z.dtype)
    tau = (tf.reduce_sum(seen * row, axis=-1, keepdims=True) - 1) / tf.reduce_sum(seen, axis=-1, keepdims=True)
    return tf.nn.relu(z - tau)


ACTIVATIONS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "sparsemax": sparsemax,
}
