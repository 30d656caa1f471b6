"""Gaussian noise, once for each weight and update, from a counter: no two of them share any.

Philox, keyed by two words of the ledger's key; the counter is the step's number times the number of weights, plus the
weight's. Philox is a counter-based generator of simulations, not one of cryptography, and its normal numbers are
float32's or float64's: what that leaves open is in the guide.

Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011), https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def normal(key: tf.Tensor, step: tf.Tensor, weight: int, weights: int, shape: Sequence[int], dtype: Any) -> tf.Tensor:
    """Standard normal numbers of a weight's shape, for one step.

    Args:
        key: (2,) int64, the noise's words of the ledger's key.
        step: the number of the step, over all fits of the model.
        weight, weights: the weight's number, and how many there are.
    """
    counter = tf.cast(step, tf.int64) * weights + weight
    seed = tf.stack([key[0], key[1] + counter])
    return tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox")


def noised(
    sums: Sequence[tf.Tensor], key: tf.Tensor, step: tf.Tensor, deviation: float, divisor: float
) -> list[tf.Tensor]:
    """(Σ_b f_b g_b + deviation · normal) / divisor of every weight."""
    return [
        (total + deviation * normal(key, step, number, len(sums), total.shape, total.dtype)) / divisor
        for number, total in enumerate(sums)
    ]
