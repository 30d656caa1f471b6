"""Draws Gaussian noise for each weight and update from a key and a counter: no two of them share any.

Threefry computes the bits. Each step has its own key, derived from the ledger's; the counter is the number of an
element in all weights of the model, one after the other. Normal numbers are float32's or float64's: the guide
describes the consequences.

References: Box and Muller, A note on the generation of random normal deviates (1958),
https://doi.org/10.1214/aoms/1177706645; Cephes' logf, https://www.netlib.org/cephes
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfbp.privacy.threefry import Words, threefry

# coefficients of the mantissa's logarithm, from the highest power
LOGARITHM = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
# the bits of √½ as a float32
ROOT_OF_HALF = 0x3F3504F3
# a weight of at least so many elements, and of this part of all, has a program of its own for its numbers
LARGE, PART = 2**14, 16


def normal(key: tf.Tensor, step: tf.Tensor, size: int, dtype: Any, first: int = 0) -> tf.Tensor:
    """Returns standard normal numbers for a step's elements first, …, first + size - 1 of all weights, (size,).

        z = √(-2 ln u) · sin(π v)     u in (0, 1], v in [-½, ½)

    Floats are dense close to 0: so the tails are as long as the bits of u allow, 6.7 for the 31 of float32.

    Args:
        key: (2,) int64, the noise's words of the ledger's key.
        step: the number of the step, over all fits of the model.
    """
    of_step, tweak = _of_step(key, step)
    element = tf.bitcast(tf.range(first, first + size, dtype=tf.int32), tf.uint32)

    def words(block: int) -> Words:
        number = tf.zeros_like(element) + tf.constant(block, tf.uint32)
        return threefry(of_step, (element ^ tweak[0], number ^ tweak[1]))

    if tf.as_dtype(dtype) == tf.float64:
        high, low = words(0)
        uniform = tf.cast(high, dtype) * 2.0**-32 + (tf.cast(low, dtype) + 0.5) * 2.0**-64
        high, low = words(1)
        angle = _signed(high, dtype) * 2.0**-32 + tf.cast(low, dtype) * 2.0**-64
        return tf.sqrt(-2 * tf.math.log(uniform)) * tf.sin(math.pi * angle)
    first, second = words(0)
    half = tf.bitwise.right_shift(first, tf.constant(1, tf.uint32))
    return _normal(_signed(half, tf.float32) + 0.5, _signed(second, tf.float32) * 2.0**-32)


def _of_step(key: tf.Tensor, step: tf.Tensor) -> tuple[Words, Words]:
    """Returns a step's own key, and words to mix with its counters: two each, from all bits of the ledger's key."""
    words = tf.unstack(tf.reshape(tf.bitcast(key, tf.uint32), [4]))
    low, high = tf.unstack(tf.bitcast(tf.cast(step, tf.int64), tf.uint32))
    return (
        threefry((words[0], words[1]), (low ^ words[2], high ^ words[3])),
        threefry((words[2], words[3]), (low ^ words[0], high ^ words[1])),
    )


def _normal(numerator: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Returns √(-2 ln(numerator / 2³¹)) · sin(π angle) in float32, by polynomials, which vectorize."""
    bits = tf.bitcast(numerator * 2.0**-31, tf.int32) - ROOT_OF_HALF
    exponent = tf.cast(tf.bitwise.right_shift(bits, 23), tf.float32)
    over_one = tf.bitcast((bits & 0x7FFFFF) + ROOT_OF_HALF, tf.float32) - 1
    series = tf.zeros_like(over_one)
    for coefficient in LOGARITHM:
        series = series * over_one + coefficient
    square = over_one * over_one
    logarithm = over_one * square * series - 0.5 * square + over_one + exponent * math.log(2)
    square, sine = angle * angle, tf.zeros_like(angle)
    for power in range(11, 0, -2):
        sine = sine * square + (-1) ** (power // 2) * math.pi**power / math.factorial(power)
    return tf.sqrt(-2 * logarithm) * (angle * sine)


def _signed(word: tf.Tensor, dtype: Any) -> tf.Tensor:
    return tf.cast(tf.bitcast(word, tf.int32), dtype)


def noised(
    sums: Sequence[tf.Tensor], key: tf.Tensor, step: tf.Tensor, deviation: float, divisor: float
) -> list[tf.Tensor]:
    """Returns (Σ_b f_b g_b + deviation · normal) / divisor of every weight; the sums have one dtype."""
    sizes = [math.prod(total.shape) for total in sums]
    dtype = sums[0].dtype
    # XLA repeats cheap operations for each use, and with them the generator: a division by a number that it does not
    # know while it compiles is not cheap
    by = tf.where(step >= 0, tf.constant(divisor / deviation if deviation else math.inf, dtype), 1)
    parts: list[tf.Tensor] = []
    for first, group in _groups(sizes):
        parts += tf.split(normal(key, step, sum(group), dtype, first) / by, group)
    return [total * (1 / divisor) + tf.reshape(part, total.shape) for total, part in zip(sums, parts, strict=True)]


def _groups(sizes: list[int]) -> list[tuple[int, list[int]]]:
    """Returns the first element and the sizes of consecutive weights that share one vector of numbers.

    XLA compiles the generator for each vector. That of a large weight is not stored: it is a part of the weight's
    update.
    """
    least = max(LARGE, sum(sizes) // PART)
    groups: list[tuple[int, list[int]]] = []
    first = 0
    for number, size in enumerate(sizes):
        if not groups or size >= least or sizes[number - 1] >= least:
            groups.append((first, []))
        groups[-1][1].append(size)
        first += size
    return groups
