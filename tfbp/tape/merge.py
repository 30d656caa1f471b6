"""Layers that make one tensor from several, forward only: tf.GradientTape differentiates. B batch; each x (B, …)."""

from functools import partial, reduce

import tensorflow as tf

from tfbp.tape.masks import alike


def _of_two(function, layer, weights, x, *, training, seed):
    return reduce(function, alike(x)), {}


def _average(layer, weights, x, *, training, seed):
    return reduce(tf.add, x) / len(x), {}


def _concatenate(layer, weights, x, *, training, seed):
    return tf.concat(alike(x), axis=layer.axis), {}


def _dot(layer, weights, x, *, training, seed):
    """Computes by tf.matmul, because tf.einsum sums float16 in float16."""
    one, other = layer.summed([tensor.shape[1:] for tensor in x])
    a, b = (tensor if tensor.shape.rank == 3 else tensor[:, None] for tensor in x)
    first, second = (tensor.shape.rank == 3 and axis == 0 for tensor, axis in zip(x, (one, other), strict=True))
    y = tf.matmul(a, b, transpose_a=first, transpose_b=not second)
    # (B, T, S); (B, T) or (B, S) where one of them is a row, (B, 1) where both are
    if x[0].shape.rank == 2:
        return y[:, 0], {}
    return y if x[1].shape.rank == 3 else y[..., 0], {}


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
