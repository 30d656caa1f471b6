"""Upsampling, forward only: tf.GradientTape differentiates. B batch; x and y (B, …, C)."""

import numpy as np
import tensorflow as tf


def bilinear(x, times, axis):
    """Interpolates between the two nearest along an axis. TensorFlow's resize returns float32; XLA changes it."""
    places = np.clip((np.arange(x.shape[axis] * times) + 0.5) / times - 0.5, 0, x.shape[axis] - 1)
    first = places.astype(int)
    share = tf.reshape(tf.constant(places - first, x.dtype), [-1, *[1] * (x.shape.rank - 1 - axis)])
    below = tf.gather(x, first, axis=axis)
    return below + share * (tf.gather(x, np.minimum(first + 1, x.shape[axis] - 1), axis=axis) - below)


def forward(layer, weights, x, *, training, seed):
    for axis, times in enumerate(layer.size, 1):
        if layer.interpolation == "bilinear":
            x = bilinear(x, times, axis)
        else:
            x = tf.gather(x, [place // times for place in range(x.shape[axis] * times)], axis=axis)
    return x, {}


KINDS = {f"UpSampling{axes}D": forward for axes in (1, 2, 3)}
