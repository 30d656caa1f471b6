"""Layers that move numbers of an example, and their gradients. B batch; x (B, …), y (B, …)."""

import numpy as np


def permute_forward(x, dims):
    return x.transpose(0, *dims)


def permute_backward(dy, dims):
    # y's axis k is x's axis dims[k]
    return dy.transpose(0, *(dims.index(axis) + 1 for axis in range(1, dy.ndim)))


def repeat_vector_forward(x, n):
    return np.repeat(x[:, None], n, axis=1)


def repeat_vector_backward(dy):
    # y[b, t] = x[b] for every t
    return dy.sum(axis=1)


def get_item_forward(x, key):
    return x[key]


def get_item_backward(dy, key, shape):
    # y = x[key]: a number that is not selected has gradient 0
    dx = np.zeros(shape, dy.dtype)
    dx[key] = dy
    return dx


def stack_forward(xs, axis):
    return np.stack(xs, axis=axis)


def stack_backward(dy, axis):
    # y = [x, x, …]
    return tuple(np.moveaxis(dy, axis, 0))


def _permute(layer, weights, x, *, training, seed):
    return permute_forward(x, layer.dims), None, {}


def _permute_back(layer, dz, residuals):
    return permute_backward(dz, layer.dims), {}


def _repeat(layer, weights, x, *, training, seed):
    return repeat_vector_forward(x, layer.n), None, {}


def _repeat_back(layer, dz, residuals):
    return repeat_vector_backward(dz), {}


def _get_item(layer, weights, x, *, training, seed):
    return get_item_forward(x, layer.taken), x.shape, {}


def _get_item_back(layer, dz, residuals):
    return get_item_backward(dz, layer.taken, residuals), {}


def _stack(layer, weights, x, *, training, seed):
    return stack_forward(x, layer.axis), None, {}


def _stack_back(layer, dz, residuals):
    return stack_backward(dz, layer.axis), {}


KINDS = {
    "Permute": (_permute, _permute_back),
    "RepeatVector": (_repeat, _repeat_back),
    "GetItem": (_get_item, _get_item_back),
    "Stack": (_stack, _stack_back),
}
