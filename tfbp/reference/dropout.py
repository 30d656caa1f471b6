"""Dropout with a mask that depends on its seed alone: it encrypts a counter, and has no state.

x, y of any shape; seed two integers; the mask has x's shape, or `noise_shape`, with 1 along an axis with one number.
"""

import numpy as np


def dropout_forward(x, seed, *, rate, noise_shape=None):
    """Returns y = x / (1 - rate) where the mask is True, else 0, and the residuals."""
    mask = dropout_mask(noise_shape or x.shape, seed, rate)
    return np.where(mask, x / (1 - rate) if rate < 1 else 0.0, 0.0), (mask, rate)


def dropout_backward(dy, residuals):
    """Returns dx of x's shape: by the same mask and the same factor."""
    mask, rate = residuals
    # y = x / (1 - rate) where the mask is True, else 0
    return np.where(mask, dy / (1 - rate) if rate < 1 else 0.0, 0.0)


def dropout_mask(shape, seed, rate):
    """Returns the mask: True where the 23 lowest random bits, as a number from 0 to 1, are at least float32's rate."""
    bits = philox_bits(int(np.prod(shape)), seed).reshape(shape)
    return (bits & 0x7FFFFF) >= float(np.float32(rate)) * 2**23


def philox_bits(count, seed):
    """Returns `count` random numbers of 32 bits, those that TensorFlow draws for this seed by Philox.

    Example:
        >>> philox_bits(3, (5, -7)).tolist()
        [4031108468, 4011406483, 2233311366]

    Reference: Salmon et al. (2011), https://doi.org/10.1145/2063384.2063405
    """
    first, second = (int(part) % 2**64 for part in seed)
    # TensorFlow first encrypts the seed with a fixed key, so that every bit of it has the same influence
    words = _philox([[first % 2**32], [first >> 32], [second % 2**32], [second >> 32]], (0x3EC8F720, 0x02461E29))
    key = int(words[0][0]), int(words[1][0])
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    counter = blocks % 2**32, blocks >> np.uint64(32), blocks * 0 + words[2][0], blocks * 0 + words[3][0]
    return np.stack(_philox(counter, key), axis=-1).reshape(-1)[:count].astype(np.uint32)


def _philox(counter, key):
    """Runs ten rounds of Philox4x32 on four words of 32 bits, each an array."""
    low, half = np.uint64(2**32 - 1), np.uint64(32)
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    for round in range(10):
        key_a, key_b = (
            np.uint64((word + round * step) % 2**32) for word, step in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)
        )
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> half) ^ b ^ key_a, q & low, (p >> half) ^ d ^ key_b, p & low
    return a, b, c, d


def forward(layer, weights, x, *, training, seed):
    if not training:
        return x, None, {}
    shape = layer.noise_shape and [n or size for n, size in zip(layer.noise_shape, x.shape, strict=True)]
    return *dropout_forward(x, seed, rate=layer.rate, noise_shape=shape), {}


def backward(layer, dz, residuals):
    return dz if residuals is None else dropout_backward(dz, residuals), {}


KINDS = {"Dropout": (forward, backward)}
