"""Computes Threefry-2x32 with 20 rounds: two words from a key and a counter of two words each.

It is the block cipher Threefish with short words, and jax.random's generator. It consists of additions, rotations and
exclusive ors, which XLA compiles to vector instructions.

Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011), https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import tensorflow as tf

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
Words = tuple[tf.Tensor, tf.Tensor]


def threefry(key: Words, counter: Words) -> Words:
    """Returns two words for each counter; all are uint32, and their shapes broadcast.

    Example:
        >>> zero = tf.constant(0, tf.uint32)
        >>> [hex(int(word)) for word in threefry((zero, zero), (zero, zero))]
        ['0x6b200159', '0x99ba4efe']
    """
    return _rounds(*key, *counter)


# 150 operations, traced once in a process for every program that draws
@tf.function(input_signature=[tf.TensorSpec(None, tf.uint32)] * 4, autograph=False)
def _rounds(first: tf.Tensor, second: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> Words:
    schedule = (first, second, first ^ second ^ tf.constant(PARITY, tf.uint32))
    left, right = left + schedule[0], right + schedule[1]
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            left = left + right
            right = _rotated(right, bits) ^ left
        left = left + schedule[(group + 1) % 3]
        right = right + schedule[(group + 2) % 3] + tf.constant(group + 1, tf.uint32)
    return left, right


def _rotated(word: tf.Tensor, bits: int) -> tf.Tensor:
    up, down = tf.constant(bits, tf.uint32), tf.constant(32 - bits, tf.uint32)
    return tf.bitwise.left_shift(word, up) | tf.bitwise.right_shift(word, down)
