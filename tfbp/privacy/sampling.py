"""Draws the examples of a step, in chunks of a fixed size, inside the program.

Poisson: every example with probability q, independently. The distance between two taken rows is geometric. A chunk
draws the distances of its own rows, and a step takes further chunks until it is beyond the last row. No row is
dropped, and an empty draw is one chunk without a row.

Shuffle: the rows of an epoch's order, B at a time.

N rows, P rows of a chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

# a chunk's results: its rows, which of its places have one, the last visited row, whether there is more
Chunk = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
Draw = Callable[[tf.Tensor, tf.Tensor], Chunk]
# the number of chunks of a step that the counter can distinguish
MOST_CHUNKS = 2**20


def poisson(key: tf.Tensor, step: tf.Tensor, rate: float, rows: int, size: int) -> Draw:
    """Returns a function of a chunk's number and the last row before it (-1 before the first).

    Args:
        key: (2,) int64, the samples' words of the ledger's key.
        rate: q.
        rows: N. size: P.
    """

    def draw(number: tf.Tensor, last: tf.Tensor) -> Chunk:
        counter = tf.cast(step, tf.int64) * MOST_CHUNKS + tf.cast(number, tf.int64)
        seed = tf.stack([key[0], key[1] + counter])
        # in (0, 1]: the logarithm is finite
        uniform = 1.0 - tf.random.stateless_uniform([size], seed, dtype=tf.float64, alg="philox")
        rows_taken = last + tf.cumsum(distances(uniform, rate, rows))
        valid = rows_taken < rows
        return tf.cast(tf.where(valid, rows_taken, 0), tf.int32), valid, rows_taken[-1], rows_taken[-1] + 1 < rows

    return draw


def distances(uniform: tf.Tensor, rate: float, rows: int) -> tf.Tensor:
    """Returns the distance to the next taken row, int64: d with probability (1 - q)^(d - 1) q; N + 1 beyond N."""
    if rate >= 1:
        return tf.ones_like(uniform, tf.int64)
    skipped = tf.floor(tf.math.log(uniform) / math.log1p(-rate))
    return 1 + tf.cast(tf.minimum(skipped, float(rows)), tf.int64)


def shuffled(order: tf.Tensor, number_of_step: tf.Tensor, batch_size: int, rows: int, size: int) -> Draw:
    """Returns a function as in `poisson`, for one step of an epoch with such an order (N,)."""
    padded = tf.pad(order, [[0, batch_size + size]])

    def draw(number: tf.Tensor, last: tf.Tensor) -> Chunk:
        first = number * size
        place = tf.range(size) + first
        begin = number_of_step * batch_size
        valid = (place < batch_size) & (begin + place < rows)
        rows_taken = tf.where(valid, tf.slice(padded, [begin + first], [size]), 0)
        reached = first + size
        more = (reached < batch_size) & (begin + reached < rows)
        return rows_taken, valid, tf.cast(reached, tf.int64) + 0 * last, more

    return draw


def order_of(key: tuple[int, ...], epoch: int, rows: int) -> np.ndarray:
    """Returns the order of an epoch, from the samples' words of the key and the number of earlier steps."""
    return np.random.default_rng([*key, epoch]).permutation(rows).astype(np.int32)


def chunk_size(rate: float, rows: int, physical: int | None) -> int:
    """Returns P: the size of a chunk that nearly all draws fit into; or the requested size."""
    expected = rate * rows
    if physical is not None:
        return min(physical, rows)
    deviation = math.sqrt(max(expected * (1 - rate), 0))
    return max(1, min(rows, math.ceil(expected + 2.5 * deviation)))
