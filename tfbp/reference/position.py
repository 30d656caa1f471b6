"""Positions: a learned row added to each step, or a rotation of each step, and their gradients.

B batch, T steps, P positions with a row, I features; x and y (B, T, I), embeddings (P, I), cos and sin (T, I/2).
The first step has position `start`.
"""

import numpy as np


def position_forward(x, embeddings, start=0):
    """Returns y[…, t, :] = x[…, t, :] + embeddings[start + t], and the residuals."""
    return x + embeddings[start : start + x.shape[-2]], (start, len(embeddings))


def position_backward(dy, residuals):
    """Returns dx (B, T, I) and dembeddings (P, I), 0 in the unused rows."""
    start, positions = residuals
    # y = x + embeddings[start : start + T]           (B, T, I) <- (B, T, I) (T, I)
    dembeddings = np.zeros((positions, dy.shape[-1]), dy.dtype)
    dembeddings[start : start + dy.shape[-2]] += dy.sum(axis=tuple(range(dy.ndim - 2)))
    return dy, dembeddings


def rotary_forward(x, *, max_wavelength=10000, scaling_factor=1.0, start=0):
    """Returns y: the pairs (x[i], x[i + I/2]) of step t rotated by (start + t) · a_i; the residuals are cos and sin."""
    steps, half = x.shape[1], x.shape[-1] // 2
    angles = np.outer(start + np.arange(steps), max_wavelength ** (-np.arange(half) / half)) / scaling_factor
    # for axes of x between time and features, such as heads
    angles = angles.reshape(steps, *[1] * (x.ndim - 3), half)
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1), (cos, sin)


def rotary_backward(dy, residuals):
    """Returns dx (B, T, I): dy rotated back by the same angles, because a rotation's transpose is its inverse."""
    cos, sin = residuals
    dy_first, dy_second = dy[..., : cos.shape[-1]], dy[..., cos.shape[-1] :]
    # y = [first · cos - second · sin, second · cos + first · sin]
    return np.concatenate([dy_first * cos + dy_second * sin, dy_second * cos - dy_first * sin], axis=-1)


def _position_forward(layer, weights, x, *, training, seed):
    return *position_forward(x, weights["embeddings"]), {}


def _position_backward(layer, dz, residuals):
    dx, dembeddings = position_backward(dz, residuals)
    return dx, {"embeddings": dembeddings}


def _rotary_forward(layer, weights, x, *, training, seed):
    return *rotary_forward(x, **layer.arguments()), {}


def _rotary_backward(layer, dz, residuals):
    return rotary_backward(dz, residuals), {}


KINDS = {
    "PositionEmbedding": (_position_forward, _position_backward),
    "RotaryEmbedding": (_rotary_forward, _rotary_backward),
}
