"""Max and average pooling, and both over the whole image, with their gradients.

B batch, H and W the height and width of x, P and Q of y, C channels; x (B, H, W, C), y (B, P, Q, C), or (B, C)
for pooling over the whole image.
"""

from functools import partial

import numpy as np

from tfbp.reference.window import Window


def max_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    """Returns y[b, p, q, c] = the maximum of x under the window, and the residuals; padding is never the maximum."""
    window = Window(x.shape[1:3], pool_size, strides or pool_size, padding)
    padded = window.pad(x, -np.inf)
    y = np.full((len(x), *window.outputs, x.shape[-1]), -np.inf, x.dtype)
    for _, _, at in window.positions():
        y = np.where(padded[at].real > y.real, padded[at], y)
    return y, (x, y, window)


def max_pool2d_backward(dy, residuals):
    """Returns dx (B, H, W, C): dy goes to the maximum of x; of several equal ones to the first by rows."""
    x, y, window = residuals
    padded = window.pad(x, -np.inf)
    dpadded, given = np.zeros(padded.shape), np.zeros(y.shape, bool)
    for _, _, at in window.positions():
        # y = padded[at] where it is the maximum            (B, P, Q, C)
        largest = (padded[at] == y) & ~given
        dpadded[at] += np.where(largest, dy, 0)
        given |= largest
    # padded = pad(x)                                       (B, H + …, W + …, C) <- (B, H, W, C)
    return window.unpad(dpadded)


def average_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    """Returns y[b, p, q, c] = the mean of x under the window, without the padding around x."""
    window = Window(x.shape[1:3], pool_size, strides or pool_size, padding)
    padded, inside = window.pad(x), window.pad(np.ones((1, *x.shape[1:3], 1)))
    total, count = np.zeros((len(x), *window.outputs, x.shape[-1]), x.dtype), np.zeros((1, *window.outputs, 1))
    for _, _, at in window.positions():
        total += padded[at]
        count += inside[at]
    return total / count, (count, window)


def average_pool2d_backward(dy, residuals):
    """Returns dx (B, H, W, C)."""
    count, window = residuals
    # y = total / count                                     (B, P, Q, C) <- (1, P, Q, 1)
    dtotal = dy / count
    dpadded = window.pad(np.zeros((len(dy), *window.sizes, dy.shape[-1])))
    for _, _, at in window.positions():
        # total += padded[at]                               (B, P, Q, C)
        dpadded[at] += dtotal
    # padded = pad(x)                                       (B, H + …, W + …, C) <- (B, H, W, C)
    return window.unpad(dpadded)


def global_average_pool2d_forward(x):
    """Returns y[b, c] = the mean of x[b, :, :, c]."""
    return x.sum(axis=(1, 2)) / (x.shape[1] * x.shape[2]), x.shape


def global_average_pool2d_backward(dy, shape):
    """Returns dx (B, H, W, C)."""
    # y = Σ x / (H W)                                       (B, C) <- (B, H, W, C)
    return np.broadcast_to(dy[:, None, None, :] / (shape[1] * shape[2]), shape)


def global_max_pool2d_forward(x):
    """Returns y[b, c] = the maximum of x[b, :, :, c]."""
    rows = x.reshape(len(x), -1, x.shape[-1])
    largest = rows.real.argmax(axis=1)
    return np.take_along_axis(rows, largest[:, None], axis=1)[:, 0], x


def global_max_pool2d_backward(dy, x):
    """Returns dx (B, H, W, C): equal maxima share dy equally, as in Keras."""
    largest = x == x.max(axis=(1, 2), keepdims=True)
    return largest * (dy[:, None, None, :] / largest.sum(axis=(1, 2), keepdims=True))


def global_average_pool1d_forward(x):
    """Returns y[b, c] = the mean of x[b, :, c] over T steps."""
    return x.sum(axis=1) / x.shape[1], x.shape


def global_average_pool1d_backward(dy, shape):
    """Returns dx (B, T, C)."""
    # y = Σ x / T                                           (B, C) <- (B, T, C)
    return np.broadcast_to(dy[:, None] / shape[1], shape)


def masked_average_pool1d_forward(x, mask):
    """y[b, c] = the mean of x[b, t, c] over the steps t that a mask (B, T) of 1 and 0 shows."""
    shown = np.asarray(mask != 0, float)[..., None]
    return np.where(shown != 0, x, 0).sum(axis=1) / shown.sum(axis=1), shown


def masked_average_pool1d_backward(dy, shown):
    """dx (B, T, C)."""
    # y = Σ x · shown / Σ shown                             (B, C) <- (B, T, C) (B, T, 1)
    return shown * (dy / shown.sum(axis=1))[:, None]


def _sequence_forward(layer, weights, x, *, training, seed):
    x, beside = layer.apart(x)
    found = masked_average_pool1d_forward(x, beside["mask"]) if beside else global_average_pool1d_forward(x)
    y, residuals = found
    return y.reshape(len(x), *layer.output_shape((x.shape[1:], x.shape[1:2]) if beside else x.shape[1:])), residuals, {}


def _sequence_backward(layer, dz, residuals):
    backward = masked_average_pool1d_backward if layer.takes else global_average_pool1d_backward
    return layer.in_order(backward(dz.reshape(len(dz), dz.shape[-1]), residuals), {}), {}


def _window_forward(function, layer, weights, x, *, training, seed):
    return *function(x, pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding), {}


def _whole_forward(function, layer, weights, x, *, training, seed):
    y, residuals = function(x)
    return y.reshape(len(x), *layer.output_shape(x.shape[1:])), residuals, {}


def _window_backward(function, layer, dz, residuals):
    return function(dz, residuals), {}


def _whole_backward(function, layer, dz, residuals):
    return function(dz.reshape(len(dz), dz.shape[-1]), residuals), {}


KINDS = {
    "MaxPooling2D": (partial(_window_forward, max_pool2d_forward), partial(_window_backward, max_pool2d_backward)),
    "AveragePooling2D": (
        partial(_window_forward, average_pool2d_forward),
        partial(_window_backward, average_pool2d_backward),
    ),
    "GlobalMaxPooling2D": (
        partial(_whole_forward, global_max_pool2d_forward),
        partial(_whole_backward, global_max_pool2d_backward),
    ),
    "GlobalAveragePooling2D": (
        partial(_whole_forward, global_average_pool2d_forward),
        partial(_whole_backward, global_average_pool2d_backward),
    ),
    "GlobalAveragePooling1D": (_sequence_forward, _sequence_backward),
}
