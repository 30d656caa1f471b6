"""Layers that make one tensor of several, forward only: tf.GradientTape differentiates. B batch; each x (B, …)."""

from functools import partial, reduce

import tensorflow as tf


def _of_two(function, layer, weights, x, *, training, seed):
    return reduce(function, x), {}


def _average(layer, weights, x, *, training, seed):
    return reduce(tf.add, x) / len(x), {}


def _concatenate(layer, weights, x, *, training, seed):
    return tf.concat(x, axis=layer.axis), {}


def _dot(layer, weights, x, *, training, seed):
    one, other = layer.summed([each.shape[1:] for each in x])
    a = "bi" if x[0].shape.rank == 2 else "bit" if one == 0 else "bti"
    b = "bi" if x[1].shape.rank == 2 else "bis" if other == 0 else "bsi"
    kept = "b" + "".join(letter for letter in a + b if letter in "ts")
    y = tf.einsum(f"{a},{b}->{kept}", *x)
    return y[:, None] if kept == "b" else y, {}


KINDS = {
    "Add": partial(_of_two, tf.add),
    "Subtract": partial(_of_two, tf.subtract),
    "Multiply": partial(_of_two, tf.multiply),
    "Average": _average,
    "Maximum": partial(_of_two, tf.maximum),
    "Minimum": partial(_of_two, tf.minimum),
    "Concatenate": _concatenate,
    "Dot": _dot,
}
