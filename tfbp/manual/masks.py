"""Masks: 1 and 0 for each step. They have no gradient. x of any shape; a mask of tokens is float32."""

import tensorflow as tf


def not_equal_forward(layer, weights, x, *, training, seed):
    return _mask(x != tf.cast(layer.value, x.dtype), x), None, {}


def any_forward(layer, weights, x, *, training, seed):
    return _mask(tf.reduce_any(x != 0, axis=layer.axis, keepdims=layer.keepdims), x), None, {}


def or_forward(layer, weights, x, *, training, seed):
    return _mask((x[0] != 0) | (x[1] != 0), alike(x)[0]), None, {}


def backward(layer, dz, residuals):
    return (None, None) if layer.takes_several else None, {}


def masked_weights(weight, mask, dtype):
    """Returns the weights of a masked loss, (B, …), so that 1/N Σ weights · losses is the mean over the shown rows.

        Σ weight · mask · losses / Σ mask, and 0 without a shown row

    Args:
        weight: the sample weights, or None. mask: 1 and 0, (B, …). dtype: the loss's."""
    shown = mask != 0
    count = tf.reduce_sum(tf.cast(shown, dtype))
    of_shown = tf.math.divide_no_nan(tf.cast(tf.size(mask), dtype), count)
    weights = tf.where(shown, of_shown, 0)
    return weights if weight is None else weight * weights


def alike(xs):
    """Returns tensors in one dtype: a mask of tokens is float32 also beside numbers of another."""
    dtype = next((x.dtype for x in xs if x.dtype != tf.float32), tf.float32)
    return [tf.cast(x, dtype) for x in xs]


def _mask(shown, x):
    return tf.cast(shown, x.dtype if x.dtype.is_floating else tf.float32)


KINDS = {"NotEqual": (not_equal_forward, backward), "Any": (any_forward, backward), "LogicalOr": (or_forward, backward)}
