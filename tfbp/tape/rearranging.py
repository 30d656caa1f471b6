"""Layers that move numbers of an example, forward only: tf.GradientTape differentiates. B batch; x (B, …), y (B, …)."""

import tensorflow as tf


def _permute(layer, weights, x, *, training, seed):
    return tf.transpose(x, [0, *layer.dims]), {}


def _repeat(layer, weights, x, *, training, seed):
    return tf.stack([x] * layer.n, axis=1), {}


def _get_item(layer, weights, x, *, training, seed):
    for axis, each in [*enumerate(layer.taken)][:0:-1]:
        taken = range(x.shape[axis])[each]
        x = tf.gather(x, taken if isinstance(taken, int) else list(taken), axis=axis)
    return x, {}


def _stack(layer, weights, x, *, training, seed):
    axis = layer.axis
    return tf.concat([tf.expand_dims(tensor, axis) for tensor in x], axis=axis), {}


KINDS = {"Permute": _permute, "RepeatVector": _repeat, "GetItem": _get_item, "Stack": _stack}
