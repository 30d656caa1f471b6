"""Sums the gradient of a broadcast weight for each example."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def gradient_of_broadcast(dz: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns (B, *shape) from dz (B, …), to which a weight of that shape was added: the sum over its repetitions.

    16-bit numbers are summed in float32."""
    wide = tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz
    shape = [int(size) for size in shape]
    sizes = [1] * (wide.shape.rank - 1 - len(shape)) + shape
    over = [axis + 1 for axis, size in enumerate(sizes) if size == 1 and wide.shape[axis + 1] != 1]
    total = tf.reduce_sum(wide, axis=over, keepdims=True) if over else wide
    return tf.reshape(total, [-1, *shape])
