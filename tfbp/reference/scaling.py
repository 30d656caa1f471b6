"""Scaling and shifting by fixed numbers, by statistics, or by one weight per channel.

B batch; x and y (B, …, C); mean, variance and gamma (C,).
"""

import numpy as np

LEAST = 1e-7  # the smallest standard deviation, as in Keras


def rescaling_forward(x, scale, offset):
    return scale * x + offset


def rescaling_backward(dy, scale):
    # y = scale · x + offset
    return scale * dy


def normalization_forward(x, mean, variance):
    """Returns y, and the deviation, its divisor."""
    deviation = np.maximum(np.sqrt(variance), LEAST)
    return (x - mean) / deviation, deviation


def normalization_backward(dy, deviation):
    # y = (x - mean) / deviation
    return dy / deviation


def layer_scale_forward(x, gamma):
    return x * gamma, (x, gamma)


def layer_scale_backward(dy, residuals):
    """Returns dx (B, …, C) and dgamma (C,)."""
    x, gamma = residuals
    # y = x · gamma
    return dy * gamma, (dy * x).sum(axis=tuple(range(x.ndim - 1)))


def _rescaling(layer, weights, x, *, training, seed):
    return rescaling_forward(x, layer.scale, layer.offset), layer.scale, {}


def _rescaling_back(layer, dz, residuals):
    return rescaling_backward(dz, residuals), {}


def _normalization(layer, weights, x, *, training, seed):
    return *normalization_forward(x, **weights), {}


def _normalization_back(layer, dz, residuals):
    return normalization_backward(dz, residuals), {}


def _layer_scale(layer, weights, x, *, training, seed):
    return *layer_scale_forward(x, **weights), {}


def _layer_scale_back(layer, dz, residuals):
    dx, dgamma = layer_scale_backward(dz, residuals)
    return dx, {"gamma": dgamma}


KINDS = {
    "LayerScale": (_layer_scale, _layer_scale_back),
    "Rescaling": (_rescaling, _rescaling_back),
    "Normalization": (_normalization, _normalization_back),
}
