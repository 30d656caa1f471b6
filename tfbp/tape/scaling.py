"""Scaling and shifting by numbers that no gradient moves, forward only. B batch; x and y (B, …, C)."""

import tensorflow as tf


def _rescaling(layer, weights, x, *, training, seed):
    return layer.scale * x + layer.offset, {}


def _normalization(layer, weights, x, *, training, seed):
    deviation = tf.maximum(tf.sqrt(weights["variance"]), 1e-7)
    return (x - tf.cast(weights["mean"], x.dtype)) / tf.cast(deviation, x.dtype), {}


KINDS = {"Rescaling": _rescaling, "Normalization": _normalization}
