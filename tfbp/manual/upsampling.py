"""Upsampling, each backward under its forward. B batch; x (B, …, C), y (B, …, C), `size` times as many along each axis.

Interpolation is a product with a matrix (size · H, H) for each axis; its rows have the weights of two pixels.
"""

import numpy as np
import tensorflow as tf

from tfbp.manual.sizes import with_batch_of
from tfbp.manual.window import wide


def nearest_forward(x, size):
    """Returns y: each number of x `size` times."""
    for axis, times in enumerate(size, 1):
        x = tf.repeat(x, times, axis=axis) if times > 1 else x
    return x


def nearest_backward(dy, size):
    """Returns dx: the sum over the copies of each number."""
    counts = [n // times for n, times in zip(dy.shape[1:-1], size, strict=True)]
    apart = [side for pair in zip(counts, size, strict=True) for side in pair]
    # y = repeat(x)                                    (B, H, size, …, C) <- (B, H, …, C)
    split = tf.reshape(wide(dy), with_batch_of(dy, *apart, dy.shape[-1]))
    return tf.cast(tf.reduce_sum(split, axis=[*range(2, 2 * len(size) + 1, 2)]), dy.dtype)


def bilinear_forward(x, size):
    """Returns y (B, H size, W size, C), from the two nearest pixels along each axis."""
    rows, columns = (_shares(n, times, wide(x).dtype) for n, times in zip(x.shape[1:3], size, strict=True))
    return tf.cast(tf.einsum("ph,bhwc,qw->bpqc", rows, wide(x), columns), x.dtype)


def bilinear_backward(dy, size):
    counts = [n // times for n, times in zip(dy.shape[1:3], size, strict=True)]
    rows, columns = (_shares(n, times, wide(dy).dtype) for n, times in zip(counts, size, strict=True))
    # y = rows · x · columnsᵀ                          (B, P, Q, C) <- (P, H) (B, H, W, C) (Q, W)
    return tf.cast(tf.einsum("ph,bpqc,qw->bhwc", rows, wide(dy), columns), dy.dtype)


def _shares(count, times, dtype):
    """Returns (times · count, count): each pixel's weight, from 1 at its center to 0 at the next."""
    places = np.clip((np.arange(count * times) + 0.5) / times - 0.5, 0, count - 1)
    return tf.constant(np.maximum(1 - np.abs(places[:, None] - np.arange(count)), 0), dtype)


def forward(layer, weights, x, *, training, seed):
    function = bilinear_forward if layer.interpolation == "bilinear" else nearest_forward
    return function(x, layer.size), None, {}


def backward(layer, dz, residuals):
    function = bilinear_backward if layer.interpolation == "bilinear" else nearest_backward
    return function(dz, layer.size), {}


KINDS = {f"UpSampling{axes}D": (forward, backward) for axes in (1, 2, 3)}
