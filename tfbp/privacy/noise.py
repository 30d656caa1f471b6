"""Draws Gaussian noise for each weight and update from a counter: no two of them share any.

Philox has two words of the ledger's key; the counter is the step's number times the number of weights, plus the
weight's number. Philox is a generator for simulations, not for cryptography, and its normal numbers are float32's or
float64's: the guide describes the consequences.

Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011), https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def normal(key: tf.Tensor, step: tf.Tensor, weight: int, weights: int, shape: Sequence[int], dtype: Any) -> tf.Tensor:
    """Returns standard normal numbers of a weight's shape, for one step.

        z = ± Φ⁻¹(v / 2)     the sign is one bit, v in (0, 1) the others

    Floats are dense close to 0: so the tails are as long as the bits allow, 6.3 for the 31 bits of float32.

    Args:
        key: (2,) int64, the noise's words of the ledger's key.
        step: the number of the step, over all fits of the model.
        weight, weights: the weight's number, and the number of weights.
    """
    counter = tf.cast(step, tf.int64) * weights + weight
    seed = tf.stack([key[0], key[1] + counter])
    integers, bits = (tf.int64, 63) if tf.as_dtype(dtype) == tf.float64 else (tf.int32, 31)
    unsigned = tf.uint64 if integers == tf.int64 else tf.uint32
    drawn = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=unsigned, alg="philox")
    drawn = tf.bitcast(drawn, integers)
    magnitude = tf.cast(drawn & integers.max, dtype) + 0.5
    tail = tf.math.ndtri(magnitude * 2.0 ** -(bits + 1))
    return tf.where(drawn < 0, tail, -tail)


def noised(
    sums: Sequence[tf.Tensor], key: tf.Tensor, step: tf.Tensor, deviation: float, divisor: float
) -> list[tf.Tensor]:
    """Returns (Σ_b f_b g_b + deviation · normal) / divisor of every weight.

    XLA compiles it in every caller: normal numbers take a third of the time there, and are the same whether the rest
    of a step is compiled or not.
    """

    @tf.function(jit_compile=True, autograph=False)
    def made(key: tf.Tensor, step: tf.Tensor, *sums: tf.Tensor) -> list[tf.Tensor]:
        return [
            total * (1 / divisor)
            + (deviation / divisor) * normal(key, step, number, len(sums), total.shape, total.dtype)
            for number, total in enumerate(sums)
        ]

    return list(made(key, step, *sums))
