"""Positions, forward only: a learned row added to each step, or a rotation of each step.

B batch, T steps, P positions with a row, I features; x and y (B, T, I), embeddings (P, I).
"""

import tensorflow as tf


def position_forward(x, embeddings, start=0):
    return x + embeddings[start : start + x.shape[-2]]


def rotary_forward(x, max_wavelength=10000, scaling_factor=1.0, start=0):
    """Returns x[i] + j x[i + I/2] times exp(j (start + t) a_i), in real and imaginary parts."""
    steps, half = x.shape[1], x.shape[-1] // 2
    rates = tf.exp(-tf.range(half, dtype=tf.float64) / half * tf.math.log(tf.constant(max_wavelength, tf.float64)))
    angles = tf.tensordot(tf.cast(start + tf.range(steps), tf.float64), rates, 0) / scaling_factor
    angles = tf.reshape(angles, [steps, *[1] * (x.shape.rank - 3), half])
    real, imaginary = tf.cast(tf.cos(angles), x.dtype), tf.cast(tf.sin(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return tf.concat([first * real - second * imaginary, first * imaginary + second * real], axis=-1)


def _position_forward(layer, weights, x, *, training, seed):
    return position_forward(x, weights["embeddings"]), {}


def _rotary_forward(layer, weights, x, *, training, seed):
    return rotary_forward(x, layer.max_wavelength, layer.scaling_factor), {}


KINDS = {"PositionEmbedding": _position_forward, "RotaryEmbedding": _rotary_forward}
