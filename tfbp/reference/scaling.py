"""Scaling and shifting by numbers that no gradient moves.

B batch; x and y (B, …, C); mean and variance (C,).
"""

import numpy as np

LEAST = 1e-7  # below it, a standard deviation counts as this, as in Keras


def rescaling_forward(x, scale, offset):
    return scale * x + offset


def rescaling_backward(dy, scale):
    # y = scale · x + offset
    return scale * dy


def normalization_forward(x, mean, variance):
    """y, and the deviation that it is divided by."""
    deviation = np.maximum(np.sqrt(variance), LEAST)
    return (x - mean) / deviation, deviation


def normalization_backward(dy, deviation):
    # y = (x - mean) / deviation
    return dy / deviation


def _rescaling(layer, weights, x, *, training, seed):
    return rescaling_forward(x, layer.scale, layer.offset), layer.scale, {}


def _rescaling_back(layer, dz, residuals):
    return rescaling_backward(dz, residuals), {}


def _normalization(layer, weights, x, *, training, seed):
    return *normalization_forward(x, **weights), {}


def _normalization_back(layer, dz, residuals):
    return normalization_backward(dz, residuals), {}


KINDS = {
    "Rescaling": (_rescaling, _rescaling_back),
    "Normalization": (_normalization, _normalization_back),
}
