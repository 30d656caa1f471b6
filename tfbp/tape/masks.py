"""Masks: 1 and 0 for each step, forward only. x of any shape, tokens or numbers; a mask of tokens is float32."""

import tensorflow as tf


def not_equal_forward(layer, weights, x, *, training, seed):
    return _as(x, tf.not_equal(x, tf.cast(layer.value, x.dtype))), {}


def any_forward(layer, weights, x, *, training, seed):
    return _as(x, tf.math.count_nonzero(x, axis=layer.axis, keepdims=layer.keepdims) > 0), {}


def or_forward(layer, weights, x, *, training, seed):
    one, other = alike(x)
    return tf.sign(tf.abs(one) + tf.abs(other)), {}


def masked_weights(weight, mask, dtype):
    """Returns the weights of a masked loss, (B, …), so that their mean with the losses is over the shown rows alone."""
    mask = tf.stop_gradient(tf.sign(tf.abs(tf.cast(mask, dtype))))
    weights = tf.math.divide_no_nan(mask, tf.reduce_mean(mask))
    return weights if weight is None else weight * weights


def alike(xs):
    """Returns tensors in one dtype: a mask of tokens is float32 also beside numbers of another."""
    others = {x.dtype for x in xs} - {tf.float32}
    dtype = others.pop() if others else tf.float32
    return [tf.cast(x, dtype) for x in xs]


def _as(x, shown):
    return tf.cast(shown, x.dtype if x.dtype.is_floating else tf.float32)


KINDS = {"NotEqual": not_equal_forward, "Any": any_forward, "LogicalOr": or_forward}
