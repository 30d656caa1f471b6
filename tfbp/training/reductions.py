"""A few numbers of a tensor, to show: norms, histograms, shares. All compile.

B batch, O outputs of a layer.
"""

from __future__ import annotations

import math

import tensorflow as tf

BUCKETS = 30
# elements that a histogram is made of, at most
SAMPLE = 2**12
# activations that are flat where their output is 0: a unit that is 0 for the whole batch learns nothing from it
FLAT_AT_ZERO = ("relu", "relu6", "hard_silu", "hard_shrink", "soft_shrink", "sparse_plus")
# the limits of activations that flatten out towards both
LIMITS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "sparse_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
# this part of the range between the limits counts as "at" a limit, at either end
NEAR = 0.01


def norm(tensor: tf.Tensor) -> tf.Tensor:
    """The Euclidean norm of all elements, sqrt(Σ t²).

    Example:
        >>> float(norm(tf.constant([[3.0], [4.0]])))
        5.0
    """
    return _norm_of_rows(tf.reshape(tensor, [-1, tensor.shape[-1]]))


# traced once for all shapes, as `_counted`: a step with statistics has hundreds of both
@tf.function(autograph=False, reduce_retracing=True)
def _norm_of_rows(rows: tf.Tensor) -> tf.Tensor:
    # row sums as a product: XLA's own reduction adds one element after the other, ten times slower
    return tf.sqrt(tf.reduce_sum(tf.linalg.matvec(rows * rows, tf.ones_like(rows[0]))))


def root_mean_square(tensor: tf.Tensor) -> tf.Tensor:
    """The size of an element, sqrt(Σ t² / n): unlike the norm, it does not grow with the batch or the width.

    Example:
        >>> float(root_mean_square(tf.constant([[3.0, 3.0], [-3.0, 3.0]])))
        3.0
    """
    return norm(tensor) / math.sqrt(tensor.shape.num_elements())


def histogram(tensor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The least and the greatest finite element, (2,), and how many lie in each of 30 equal buckets between, (30,).

    Of a tensor with more than 2^12 elements, an evenly spaced sample is enough for a histogram.

    Example:
        >>> limits, counts = histogram(tf.constant([0.0, 0.01, 1.0]))
        >>> limits.numpy().tolist(), int(counts[0]), int(counts[29])
        ([0.0, 1.0], 2, 1)
    """
    return _counted(tf.reshape(tensor, [-1])[:: _stride(tensor.shape)])


@tf.function(autograph=False, reduce_retracing=True)
def _counted(flat: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # NaN is counted here, because XLA's minima skip it and its casts make it 0
    finite = tf.math.is_finite(flat)
    low = tf.reduce_min(tf.where(finite, flat, flat.dtype.max))
    high = tf.reduce_max(tf.where(finite, flat, flat.dtype.min))
    low, high = tf.where(low <= high, low, 0), tf.where(low <= high, high, 0)
    width = tf.where(high > low, (high - low) / BUCKETS, 1)
    bucket = tf.cast(tf.clip_by_value(tf.where(finite, (flat - low) / width, 0), 0, BUCKETS - 1), tf.int32)
    counts = tf.math.unsorted_segment_sum(tf.cast(finite, tf.int32), bucket, BUCKETS)
    return tf.stack([low, high]), counts


def _stride(shape: tf.TensorShape) -> int:
    """The least step that takes at most `SAMPLE` elements, and takes them from every column."""
    stride = math.ceil(shape.num_elements() / SAMPLE)
    while math.gcd(stride, shape[-1]) > 1:
        stride += 1
    return stride


def dead_share(y: tf.Tensor) -> tf.Tensor:
    """The share of units that are 0 for every row of y, (B, O).

    Example:
        >>> float(dead_share(tf.constant([[0.0, 1.0], [0.0, 0.0]])))
        0.5
    """
    dead = tf.reduce_all(y == 0, axis=0)
    return tf.reduce_mean(tf.cast(dead, tf.float32))


def saturated_share(y: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """The share of the elements of y, (B, O), in the outer hundredth of the range from low to high, at either end.

    Example:
        >>> float(saturated_share(tf.constant([[0.5, 0.995, 0.001, 0.98]]), 0, 1))
        0.5
    """
    margin = NEAR * (high - low)
    return tf.reduce_mean(tf.cast((y <= low + margin) | (y >= high - margin), tf.float32))
