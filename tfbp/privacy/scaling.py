"""Computes squares and scaled copies of tensors with a row for each example. B examples."""

from __future__ import annotations

import functools
import math
from typing import Any

import tensorflow as tf

from tfbp.manual.compiled import is_compiled
from tfbp.manual.dense import lost_to_underflow, squares_by_terms


def squares_of_rows(tensor: tf.Tensor) -> tf.Tensor:
    """‖row‖² along the last axis."""
    # one shape for a layer's kernel and its bias: the compiler computes equal norms once
    rows = flat(tensor)
    if not is_compiled():
        # one kernel, which writes no squares
        squares = tf.square(tf.raw_ops.EuclideanNorm(input=rows, axis=-1))
    elif tf.config.list_logical_devices("GPU"):
        # products may round to TF32 there
        squares = tf.reduce_sum(rows * rows, axis=-1)
    else:
        # on a CPU, XLA's sums along long rows take several times as long as a product with ones
        squares = tf.matmul(rows * rows, tf.ones([rows.shape[-1], 1], rows.dtype))
    return tf.reshape(squares, [-1, *tensor.shape[1:-1]])


def squares_of_product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """‖Σ_t left[b, t] ⊗ right[b, t]‖², (B,); left (B, T, I) and right (B, T, O), or (B, G, T, …)."""
    rows, inputs, outputs = left.shape[-2], left.shape[-1], right.shape[-1]
    over = list(range(1, left.shape.rank))
    if rows == 1:
        # ‖x ⊗ dz‖² = ‖x‖² ‖dz‖²
        of_left, of_right = squares_of_rows(left), squares_of_rows(right)
        lost = lost_to_underflow(of_left, of_right, inputs, outputs)
        squares = tf.reduce_sum(of_left * of_right, axis=-1) + lost
        return tf.reduce_sum(squares, axis=over[:-2])
    if rows is not None and rows * rows < inputs * outputs:
        return tf.reduce_sum(squares_by_terms(left, right), axis=over[:-2])
    # a product with fewer rows than columns is the faster one
    pair = (left, right) if inputs <= outputs else (right, left)
    return tf.reduce_sum(tf.square(tf.matmul(*pair, transpose_a=True)), axis=over)


def scaled(tensor: tf.Tensor, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
    return of_finite(tensor, finite, factors.dtype, per_row(factors, tensor))


def of_finite(tensor: tf.Tensor, finite: tf.Tensor, dtype: tf.DType, times: Any = None) -> tf.Tensor:
    """Multiplies the tensor by a factor, with 0 for examples that are not finite: 0 · NaN would be NaN."""
    tensor = tf.cast(tensor, dtype)
    product = tensor if times is None else times * tensor
    cleaned = functools.partial(tf.where, per_row(finite, tensor), product, 0)
    if is_compiled():
        return cleaned()
    # nearly always all examples are finite: then there is no copy
    clean = tf.function(cleaned, autograph=False, experimental_attributes={"_noinline": True})
    return tf.cond(tf.reduce_all(finite), lambda: product, clean)


def weighted_sum(gradients: tf.Tensor, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
    """Returns Σ_b f_b g_b of the examples' gradients g_b, (B, …)."""
    rows = of_finite(in_one_row(gradients), finite, factors.dtype)
    return tf.reshape(tf.matmul(factors[None], rows), gradients.shape[1:])


def in_one_row(tensor: tf.Tensor) -> tf.Tensor:
    """(B, …) -> (B, n)."""
    return tf.reshape(tensor, [-1, math.prod(tensor.shape[1:])])


def per_row(factors: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(factors, [-1] + [1] * (tensor.shape.rank - 1))


def flat(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1, tensor.shape[-1]])


def by_group(tensor: tf.Tensor) -> tf.Tensor:
    groups, width = tensor.shape[1], tensor.shape[3]
    return tf.reshape(tf.transpose(tensor, [1, 0, 2, 3]), [groups, -1, width])
