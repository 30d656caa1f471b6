"""Zeros around an image, forward only: tf.GradientTape differentiates. B batch; x (B, H, W, C)."""

import tensorflow as tf


def forward(layer, weights, x, *, training, seed):
    return tf.pad(x, [(0, 0), *layer.padding, (0, 0)]), {}


KINDS = {"ZeroPadding2D": forward}
