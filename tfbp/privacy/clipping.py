"""Computes min(1, C / ‖g_b‖), rounded down, and the sum of the clipped gradients of a chunk. B examples."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfbp.privacy import examples
from tfbp.privacy.examples import Found
from tfbp.privacy.ways import Way


def factors_of(squares: tf.Tensor, clip: float, dtype: tf.DType, taken: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns each example's factor, (B,), and which examples are good, (B,): taken, with a finite gradient.

    The bound is reduced by more than the norm's own rounding in that dtype, so that no clipped gradient exceeds
    `clip`.
    """
    good = taken & tf.math.is_finite(squares)
    roundoff = 2.0**-52 if dtype == tf.float64 else 2.0**-23
    bound = clip * (1 - 16 * roundoff)
    norms = tf.sqrt(tf.where(good, squares, 1.0))
    # 0 / 0 for a gradient of 0: its factor is 1
    factors = tf.minimum(bound / tf.maximum(norms, 1e-300), 1.0)
    narrow = tf.cast(factors, dtype)
    if dtype != tf.float64:
        # rounding to nearest may round up: then take the number below
        narrow = tf.where(tf.cast(narrow, tf.float64) > factors, narrow * (1 - roundoff), narrow)
    return tf.where(good, narrow, 0), good


def clipped(
    model: Any, way: Way, batch: Any, clip: float, dtype: Any, taken: tf.Tensor
) -> tuple[tf.Tensor, Any, list[tf.Tensor], tf.Tensor]:
    """Returns ℓ_b, the outputs, the clipped sums, and which examples are good: by the model's own method, if any."""
    if hasattr(model, "clipped_examples"):
        losses, outputs, sums, good = model.clipped_examples(batch, lambda s: factors_of(s, clip, dtype, taken))
        return losses, outputs, [tf.cast(total, dtype) for total in sums], good
    gradients = examples.find(model, way, batch)
    return gradients.losses, gradients.outputs, *clipped_sums(gradients, clip, dtype, taken)


def clipped_sums(found: Found, clip: float, dtype: Any, taken: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns Σ_b min(1, C / ‖g_b‖) g_b of each trainable weight over the taken examples, and which are good."""
    factors, good = factors_of(found.squares, clip, dtype, taken)
    return [tf.cast(total, dtype) for total in found.weighted(factors, tf.math.is_finite(found.squares))], good
