"""Upsampling, and its gradient. B batch; x (B, …, C), y (B, …, C) with `size` times as many along each axis."""

import numpy as np


def nearest_forward(x, size):
    for axis, times in enumerate(size, 1):
        x = np.repeat(x, times, axis=axis)
    return x


def nearest_backward(dy, size):
    for axis, times in enumerate(size, 1):
        # y = repeat(x): each x is in `times` y
        split = dy.reshape(*dy.shape[:axis], -1, times, *dy.shape[axis + 1 :])
        dy = split.sum(axis=axis + 1)
    return dy


def bilinear_forward(x, size):
    """Returns y (B, H size, W size, C), interpolated between the centers of pixels, along one axis after the other."""
    for axis, times in enumerate(size, 1):
        first, second, share = _neighbours(x.shape[axis], times)
        share = share.reshape(-1, *[1] * (x.ndim - 1 - axis))
        x = (1 - share) * np.take(x, first, axis=axis) + share * np.take(x, second, axis=axis)
    return x


def bilinear_backward(dy, size):
    """Returns dx (B, H, W, C): each y adds to its two neighbours by its weights of them."""
    for axis, times in [*enumerate(size, 1)][::-1]:
        first, second, share = _neighbours(dy.shape[axis] // times, times)
        dx = np.zeros((dy.shape[axis] // times, *np.delete(dy.shape, axis)))
        # y[i] = (1 - share) · x[first] + share · x[second]
        for place, row in enumerate(np.moveaxis(dy, axis, 0)):
            dx[first[place]] += (1 - share[place]) * row
            dx[second[place]] += share[place] * row
        dy = np.moveaxis(dx, 0, axis)
    return dy


def _neighbours(count, times):
    """Returns, for each position, its two neighbours and the second one's weight."""
    at = (np.arange(count * times) + 0.5) / times - 0.5
    below = np.floor(at)
    first, second = (np.clip(neighbor, 0, count - 1).astype(int) for neighbor in (below, below + 1))
    return first, second, at - below


def forward(layer, weights, x, *, training, seed):
    function = bilinear_forward if layer.interpolation == "bilinear" else nearest_forward
    return function(x, layer.size), None, {}


def backward(layer, dz, residuals):
    function = bilinear_backward if layer.interpolation == "bilinear" else nearest_backward
    return function(dz, layer.size), {}


KINDS = {f"UpSampling{axes}D": (forward, backward) for axes in (1, 2, 3)}
