"""Scaling and shifting by numbers and by weights, forward only. B batch; x and y (B, …, C)."""

import tensorflow as tf


def _rescaling(layer, weights, x, *, training, seed):
    return layer.scale * x + layer.offset, {}


def _normalization(layer, weights, x, *, training, seed):
    deviation = tf.maximum(tf.sqrt(weights["variance"]), 1e-7)
    return (x - tf.cast(weights["mean"], x.dtype)) / tf.cast(deviation, x.dtype), {}


def _layer_scale(layer, weights, x, *, training, seed):
    return tf.multiply(weights["gamma"], x), {}


KINDS = {"Rescaling": _rescaling, "Normalization": _normalization, "LayerScale": _layer_scale}
