"""Losses per sample, forward only. Cross-entropies take logits.

B batch, O outputs; y targets (B, O), or (B,) labels for the sparse loss; outputs (B, O); result (B,). A sample with
several tokens has one loss for each: outputs are (B, T, O), the result (B, T).
"""

import math

import tensorflow as tf


def half_squared_error(y, outputs):
    return tf.reduce_sum(tf.square(y - outputs), axis=-1) / 2


def mean_squared_error(y, outputs):
    return tf.reduce_mean(tf.square(y - outputs), axis=-1)


def mean_absolute_error(y, outputs):
    return tf.reduce_mean(tf.abs(y - outputs), axis=-1)


def huber(y, outputs, delta):
    distance = tf.abs(y - outputs)
    quadratic = tf.square(distance) / 2
    linear = delta * distance - delta**2 / 2
    return tf.reduce_mean(tf.where(distance <= delta, quadratic, linear), axis=-1)


def binary_crossentropy(y, outputs):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=outputs), axis=-1)


def categorical_crossentropy(y, outputs):
    return -tf.reduce_sum(y * tf.nn.log_softmax(outputs), axis=-1)


def sparse_categorical_crossentropy(y, outputs):
    if outputs.dtype != tf.float64:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs)
    # the GPU has no float64 kernel of it. A label that is not a class makes loss and gradient NaN, as in that kernel
    classes = outputs.shape[-1]
    is_class = (y >= 0) & (y < classes)
    target = tf.where(is_class[..., tf.newaxis], tf.one_hot(y, classes, dtype=outputs.dtype), math.nan)
    return tf.nn.softmax_cross_entropy_with_logits(labels=target, logits=outputs)


LOSSES = {
    "half_squared_error": half_squared_error,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}


def loss_forward(loss, y, outputs):
    """Returns the loss of every sample, (B,), or of each of its tokens, (B, T)."""
    if loss.name.startswith("sparse_"):
        y = tf.cast(tf.reshape(y, [-1, *outputs.shape[1:-1]]), tf.int64)
    else:
        y = tf.reshape(tf.cast(y, outputs.dtype), tf.shape(outputs))
    return LOSSES[loss.name](y, outputs, **loss.arguments)
