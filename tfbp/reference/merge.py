"""Layers that make one tensor from several, and their gradients.

B batch; each x (B, …), y (B, …); an x with size 1 along an axis is repeated along it.
"""

from functools import partial

import numpy as np


def add_forward(xs):
    return sum(xs[1:], xs[0])


def add_backward(dy, xs):
    # y = Σ x
    return tuple(_sum_to(x, dy) for x in xs)


def subtract_forward(xs):
    return xs[0] - xs[1]


def subtract_backward(dy, xs):
    # y = a - b
    return _sum_to(xs[0], dy), _sum_to(xs[1], -dy)


def multiply_forward(xs):
    y = xs[0]
    for x in xs[1:]:
        y = y * x
    return y


def multiply_backward(dy, xs):
    found = []
    for number, x in enumerate(xs):
        others = [other for place, other in enumerate(xs) if place != number]
        # y = x · the product of all others
        found.append(_sum_to(x, dy * multiply_forward(others)))
    return tuple(found)


def average_forward(xs):
    return add_forward(xs) / len(xs)


def average_backward(dy, xs):
    # y = Σ x / n
    return add_backward(dy / len(xs), xs)


def maximum_forward(xs):
    y = xs[0]
    for x in xs[1:]:
        y = np.where(y.real >= x.real, y, x)
    return y


def maximum_backward(dy, xs):
    """The first of equal inputs has the gradient, as in TensorFlow."""
    return _extreme_backward(dy, xs, maximum_forward)


def minimum_forward(xs):
    y = xs[0]
    for x in xs[1:]:
        y = np.where(y.real <= x.real, y, x)
    return y


def minimum_backward(dy, xs):
    """The first of equal inputs has the gradient, as in TensorFlow."""
    return _extreme_backward(dy, xs, minimum_forward)


def _extreme_backward(dy, xs, extreme):
    *before, last = xs
    if not before:
        return (_sum_to(last, dy),)
    first = extreme(before)
    y = extreme([first, last])
    # y = the larger of first and last
    dfirst, dlast = np.where(first == y, dy, 0), np.where(first == y, 0, dy)
    return *_extreme_backward(_sum_to(first, dfirst), before, extreme), _sum_to(last, dlast)


def concatenate_forward(xs, axis):
    return np.concatenate(xs, axis=axis)


def concatenate_backward(dy, xs, axis):
    # y = [x, x, …]
    ends = np.cumsum([x.shape[axis] for x in xs])[:-1]
    return tuple(np.split(dy, ends, axis=axis))


def dot_forward(xs, axes):
    """Returns y[b, t, s] = Σ_i a[b, t, i] · b[b, s, i], summed along the axes of a and of b, without the batch."""
    a, b = _last(xs[0], axes[0]), _last(xs[1], axes[1])
    y = np.einsum("bti,bsi->bts", a, b)
    return y.reshape(len(y), *_kept(xs[0], axes[0]), *_kept(xs[1], axes[1]) or ((1,) if xs[0].ndim == 2 else ()))


def dot_backward(dy, xs, axes):
    a, b = _last(xs[0], axes[0]), _last(xs[1], axes[1])
    # y = einsum(a, b)                                 (B, T, S) <- (B, T, I) (B, S, I)
    dy = dy.reshape(len(dy), a.shape[1], b.shape[1])
    da, db = np.einsum("bts,bsi->bti", dy, b), np.einsum("bts,bti->bsi", dy, a)
    return _back(da, xs[0], axes[0]), _back(db, xs[1], axes[1])


def _last(x, axis):
    """Returns x as (B, T, I), with I the axis."""
    x = np.moveaxis(x, axis + 1, -1)
    return x.reshape(len(x), -1, x.shape[-1])


def _kept(x, axis):
    return (*x.shape[1 : axis + 1], *x.shape[axis + 2 :])


def _back(d, x, axis):
    return np.moveaxis(d.reshape(len(x), *_kept(x, axis), x.shape[axis + 1]), -1, axis + 1)


def _sum_to(x, d):
    """Returns d summed along the axes where x has size 1."""
    axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1 and d.shape[axis] != 1)
    return d.sum(axis=axes, keepdims=True) if axes else d


def _forward(function, layer, weights, x, *, training, seed):
    return function(x), x, {}


def _backward(function, layer, dz, residuals):
    return function(dz, residuals), {}


def _concatenate(layer, weights, x, *, training, seed):
    return concatenate_forward(x, layer.axis), x, {}


def _concatenate_back(layer, dz, residuals):
    return concatenate_backward(dz, residuals, layer.axis), {}


def _dot(layer, weights, x, *, training, seed):
    return dot_forward(x, layer.summed([array.shape[1:] for array in x])), x, {}


def _dot_back(layer, dz, residuals):
    return dot_backward(dz, residuals, layer.summed([array.shape[1:] for array in residuals])), {}


KINDS = {
    "Add": (partial(_forward, add_forward), partial(_backward, add_backward)),
    "Subtract": (partial(_forward, subtract_forward), partial(_backward, subtract_backward)),
    "Multiply": (partial(_forward, multiply_forward), partial(_backward, multiply_backward)),
    "Average": (partial(_forward, average_forward), partial(_backward, average_backward)),
    "Maximum": (partial(_forward, maximum_forward), partial(_backward, maximum_backward)),
    "Minimum": (partial(_forward, minimum_forward), partial(_backward, minimum_backward)),
    "Concatenate": (_concatenate, _concatenate_back),
    "Dot": (_dot, _dot_back),
}
