"""Layers that make one tensor from several, each backward under its forward.

B batch; each x (B, …), y (B, …); an x with size 1 along an axis is repeated along it.
"""

from functools import partial

import tensorflow as tf

from tfbp.manual.masks import alike


def add_forward(xs):
    """Returns y = Σ x, and the shapes for backward."""
    y = xs[0]
    for x in xs[1:]:
        y = y + x
    return y, tuple(x.shape for x in xs)


def add_backward(dy, shapes):
    # y = Σ x                                          (B, …) <- (B, …) …
    return tuple(_sum_to(shape, dy) for shape in shapes)


def subtract_forward(xs):
    return xs[0] - xs[1], tuple(x.shape for x in xs)


def subtract_backward(dy, shapes):
    # y = a - b                                        (B, …) <- (B, …) (B, …)
    return _sum_to(shapes[0], dy), _sum_to(shapes[1], -dy)


def multiply_forward(xs):
    """Returns y = Π x, and all x."""
    y = xs[0]
    for x in xs[1:]:
        y = y * x
    return y, xs


def multiply_backward(dy, xs):
    *before, last = xs
    if not before:
        return (_sum_to(last.shape, dy),)
    # y = product · last                               (B, …) <- (B, …) (B, …)
    product, _ = multiply_forward(before)
    dproduct = _sum_to(product.shape, dy * last)
    return *multiply_backward(dproduct, before), _sum_to(last.shape, dy * product)


def average_forward(xs):
    total, shapes = add_forward(xs)
    return total / len(xs), shapes


def average_backward(dy, shapes):
    # y = total / n                                    (B, …)
    return add_backward(dy / len(shapes), shapes)


def maximum_forward(xs):
    """Returns y, the maximum, and all x."""
    y = xs[0]
    for x in xs[1:]:
        y = tf.maximum(y, x)
    return y, xs


def maximum_backward(dy, xs):
    """The first of equal inputs has the gradient, as in TensorFlow."""
    return _extreme_backward(dy, xs, maximum_forward)


def minimum_forward(xs):
    """Returns y, the minimum, and all x."""
    y = xs[0]
    for x in xs[1:]:
        y = tf.minimum(y, x)
    return y, xs


def minimum_backward(dy, xs):
    """The first of equal inputs has the gradient, as in TensorFlow."""
    return _extreme_backward(dy, xs, minimum_forward)


def _extreme_backward(dy, xs, extreme):
    *before, last = xs
    if not before:
        return (_sum_to(last.shape, dy),)
    first, _ = extreme(before)
    y, _ = extreme([first, last])
    # y = extreme(first, last)                         (B, …) <- (B, …) (B, …)
    zero = tf.zeros_like(dy)
    dfirst, dlast = tf.where(first == y, dy, zero), tf.where(first == y, zero, dy)
    return *_extreme_backward(_sum_to(first.shape, dfirst), before, extreme), _sum_to(last.shape, dlast)


def concatenate_forward(xs, axis):
    """Returns y, and the sizes along the axis."""
    return tf.concat(xs, axis=axis), [x.shape[axis] for x in xs]


def concatenate_backward(dy, sizes, axis):
    # y = concat(xs)
    return tuple(tf.split(dy, sizes, axis=axis))


def dot_forward(xs, axes):
    """Returns y[b, t, s] = Σ_i a[b, t, i] · b[b, s, i], along an axis of each, counted without the batch; and all x."""
    a, b = (_last(x, axis) for x, axis in zip(xs, axes, strict=True))
    rest = [*_kept(xs[0], axes[0]), *_kept(xs[1], axes[1])] or [1]
    return tf.reshape(tf.matmul(a, b, transpose_b=True), [-1, *rest]), (*xs, axes)


def dot_backward(dy, residuals):
    *xs, axes = residuals
    a, b = (_last(x, axis) for x, axis in zip(xs, axes, strict=True))
    # y = matmul(a, transpose(b))                      (B, T, S) <- (B, T, I) (B, S, I)
    dy = tf.reshape(dy, [-1, a.shape[1], b.shape[1]])
    da, db = tf.matmul(dy, b), tf.matmul(dy, a, transpose_a=True)
    return tuple(_back(d, x, axis) for d, x, axis in zip((da, db), xs, axes, strict=True))


def _last(x, axis):
    """Returns x (B, I), (B, T, I) or (B, I, T) as (B, T, I), with I the axis."""
    if x.shape.rank == 2:
        return x[:, None]
    return tf.transpose(x, [0, 2, 1]) if axis == 0 else x


def _kept(x, axis):
    return [*x.shape[1 : axis + 1], *x.shape[axis + 2 :]]


def _back(d, x, axis):
    if x.shape.rank == 2:
        return d[:, 0]
    return tf.transpose(d, [0, 2, 1]) if axis == 0 else d


def _sum_to(shape, d):
    """Returns d summed along the axes where x has size 1; in float32 at least."""
    axes = [axis for axis, size in enumerate(shape) if axis and size == 1 and d.shape[axis] != 1]
    if not axes:
        return d
    wide = tf.cast(d, tf.float32) if d.dtype.size == 2 else d
    return tf.cast(tf.reduce_sum(wide, axis=axes, keepdims=True), d.dtype)


def _forward(function, layer, weights, x, *, training, seed):
    return *function(alike(x)), {}


def _backward(function, layer, dz, residuals):
    return function(dz, residuals), {}


def _concatenate(layer, weights, x, *, training, seed):
    return *concatenate_forward(alike(x), layer.axis), {}


def _concatenate_back(layer, dz, residuals):
    return concatenate_backward(dz, residuals, layer.axis), {}


def _dot(layer, weights, x, *, training, seed):
    return *dot_forward(x, layer.summed([tensor.shape[1:] for tensor in x])), {}


KINDS = {
    "Add": (partial(_forward, add_forward), partial(_backward, add_backward)),
    "Subtract": (partial(_forward, subtract_forward), partial(_backward, subtract_backward)),
    "Multiply": (partial(_forward, multiply_forward), partial(_backward, multiply_backward)),
    "Average": (partial(_forward, average_forward), partial(_backward, average_backward)),
    "Maximum": (partial(_forward, maximum_forward), partial(_backward, maximum_backward)),
    "Minimum": (partial(_forward, minimum_forward), partial(_backward, minimum_backward)),
    "Concatenate": (_concatenate, _concatenate_back),
    "Dot": (_dot, partial(_backward, dot_backward)),
}
