"""Normal noise that depends on its seed alone. x, y of any shape; seed two integers."""

import numpy as np

from tfbp.reference.dropout import philox_bits


def gaussian_noise_forward(x, seed, *, stddev):
    """Returns y = x + stddev · n, with standard normal numbers n. They are constants: dx = dy."""
    # in x's class of arrays, so that errors in these operations are measured, too
    return x + np.full_like(x, stddev) * normal_numbers(x.shape, seed)


def normal_numbers(shape, seed):
    """Returns standard normal numbers, from two uniform ones each.

        n = √(-2 ln u) cos 2πv

    Reference: Box and Muller (1958), https://doi.org/10.1214/aoms/1177706645
    """
    count = int(np.prod(shape))
    # in the middle of 2^32 intervals, so that no logarithm is of 0
    u, v = (philox_bits(2 * count, seed).reshape(2, *shape) + 0.5) / 2**32
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)


def forward(layer, weights, x, *, training, seed):
    return gaussian_noise_forward(x, seed, stddev=layer.stddev) if training else x, None, {}


def backward(layer, dz, residuals):
    # y = x + stddev · n
    return dz, {}


KINDS = {"GaussianNoise": (forward, backward)}
