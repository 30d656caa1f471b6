"""Masks: 1 and 0 for each step, forward only. x of any shape, tokens or numbers; a mask of tokens is float32."""

import tensorflow as tf


def not_equal_forward(layer, weights, x, *, training, seed):
    return _as(x, tf.not_equal(x, tf.cast(layer.value, x.dtype))), {}


def any_forward(layer, weights, x, *, training, seed):
    return _as(x, tf.math.count_nonzero(x, axis=layer.axis, keepdims=layer.keepdims) > 0), {}


def or_forward(layer, weights, x, *, training, seed):
    return tf.sign(tf.abs(x[0]) + tf.abs(x[1])), {}


def _as(x, shown):
    return tf.cast(shown, x.dtype if x.dtype.is_floating else tf.float32)


KINDS = {"NotEqual": not_equal_forward, "Any": any_forward, "LogicalOr": or_forward}
