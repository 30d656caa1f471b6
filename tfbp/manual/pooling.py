"""Max and average pooling, and both over the whole image, each backward under its forward.

B batch, H and W the height and width of x, P and Q of y, C channels; x (B, H, W, C), y (B, P, Q, C), or (B, C)
for pooling over the whole image.
"""

from functools import partial

import numpy as np
import tensorflow as tf

from tfbp.manual.window import Window, sum_of, wide


def max_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    """Returns y, the maximum of x under the window, and the residual: its position in the window.

    Example:
        >>> y, residuals = max_pool2d_forward(tf.constant([[[[1.0], [3.0]], [[3.0], [2.0]]]]))
        >>> y.numpy().item(), max_pool2d_backward(tf.constant([[[[5.0]]]]), residuals)[0, :, :, 0].numpy().tolist()
        (3.0, [[0.0, 5.0], [0.0, 0.0]])
    """
    window = Window(x.shape[1:3], pool_size, strides or pool_size, padding)
    (_, y), *others = window.pixels(x, -np.inf)
    first = tf.zeros_like(y, tf.int8 if len(others) < 128 else tf.int64)
    for position, (_, at) in enumerate(others, 1):
        # greater, not equal: of several equal maxima, the first by rows
        first = tf.where(at > y, tf.constant(position, first.dtype), first)
        y = tf.maximum(y, at)
    return y, (first, window)


def max_pool2d_backward(dy, residuals):
    """Returns dx (B, H, W, C): dy goes to the maximum of x; of several equal ones to the first by rows."""
    first, window = residuals
    # y = at[first], of the window's positions              (B, P, Q, C) each
    dats = [tf.where(first == tf.constant(k, first.dtype), dy, 0) for k in range(len(window.positions))]
    # at = pixels(x)[m, n]                                  (B, P, Q, C) <- (B, H, W, C)
    return window.from_patches(dats, lambda _, dats: sum_of(dats, dy.dtype))


def average_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    """Returns y, the mean of x under the window, without the padding around x, and the residuals."""
    window = Window(x.shape[1:3], pool_size, strides or pool_size, padding)
    count = _pixels_inside(window)
    y = sum_of(window.patches(x), x.dtype, divided_by=count)
    return y, (count, window)


def average_pool2d_backward(dy, residuals):
    """Returns dx (B, H, W, C)."""
    count, window = residuals
    # y = Σ_mn at / count                                   (B, P, Q, C) <- (B, P, Q, C) each, (1, P, Q, 1)
    dat = sum_of([dy], wide(dy).dtype, divided_by=count)
    # at = pixels(x)[m, n]                                  (B, P, Q, C) <- (B, H, W, C)
    return window.from_patches(dat, lambda _, dats: sum_of(dats, dy.dtype))


def global_average_pool2d_forward(x, *, keepdims=False):
    """Returns y[b, c] = the mean of x[b, :, :, c], with `keepdims` (B, 1, 1, C), and the residual: x's shape."""
    return tf.cast(tf.reduce_mean(wide(x), axis=[1, 2], keepdims=keepdims), x.dtype), tf.shape(x)


def global_average_pool2d_backward(dy, shape):
    """Returns dx (B, H, W, C)."""
    # y = Σ x / (H W)                                       (B, C) <- (B, H, W, C)
    each = wide(dy) / tf.cast(shape[1] * shape[2], wide(dy).dtype)
    return tf.broadcast_to(_pixel(tf.cast(each, dy.dtype)), shape)


def global_max_pool2d_forward(x, *, keepdims=False):
    """Returns y[b, c] = the maximum of x[b, :, :, c], with `keepdims` (B, 1, 1, C), and the residuals (x, y)."""
    y = tf.reduce_max(x, axis=[1, 2], keepdims=keepdims)
    return y, (x, y)


def global_max_pool2d_backward(dy, residuals):
    """Returns dx (B, H, W, C): equal maxima share dy equally, as in Keras."""
    x, y = residuals
    # y = max x                                             (B, C) <- (B, H, W, C)
    largest = tf.cast(x == _pixel(y), wide(dy).dtype)
    each = _pixel(wide(dy)) / tf.reduce_sum(largest, axis=[1, 2], keepdims=True)
    return tf.cast(largest * each, dy.dtype)


def global_average_pool1d_forward(x, *, keepdims=False):
    """Returns y[b, c] = the mean of x[b, :, c] over T steps, with `keepdims` (B, 1, C), and x's shape."""
    return tf.cast(tf.reduce_mean(wide(x), axis=1, keepdims=keepdims), x.dtype), tf.shape(x)


def global_average_pool1d_backward(dy, shape):
    """Returns dx (B, T, C)."""
    # y = Σ x / T                                           (B, C) <- (B, T, C)
    step = dy if dy.shape.rank == 3 else dy[:, None]
    return tf.broadcast_to(tf.cast(wide(step) / tf.cast(shape[1], wide(step).dtype), dy.dtype), shape)


def global_max_pool1d_forward(x, *, keepdims=False):
    """Returns y[b, c] = the maximum of x[b, :, c] over T steps, with `keepdims` (B, 1, C), and the residuals (x, y)."""
    y = tf.reduce_max(x, axis=1, keepdims=keepdims)
    return y, (x, y)


def global_max_pool1d_backward(dy, residuals):
    """Returns dx (B, T, C): equal maxima share dy equally, as in Keras."""
    x, y = residuals
    # y = max x                                             (B, C) <- (B, T, C)
    y, dy = (step if step.shape.rank == 3 else step[:, None] for step in (y, dy))
    largest = tf.cast(x == y, wide(dy).dtype)
    return tf.cast(largest * (wide(dy) / tf.reduce_sum(largest, axis=1, keepdims=True)), dy.dtype)


def masked_average_pool1d_forward(x, mask, *, keepdims=False):
    """y[b, c] = the mean of x[b, t, c] over the steps t that a mask (B, T) of 1 and 0 shows, and what shows them."""
    shown = (mask != 0)[..., None]
    count = tf.reduce_sum(tf.cast(shown, wide(x).dtype), axis=1, keepdims=True)
    y = tf.reduce_sum(tf.where(shown, wide(x), 0), axis=1, keepdims=True) / count
    return tf.cast(y if keepdims else y[:, 0], x.dtype), (shown, count)


def masked_average_pool1d_backward(dy, residuals):
    """dx (B, T, C)."""
    shown, count = residuals
    # y = Σ x / count over the steps that are shown         (B, C) <- (B, T, C) (B, 1, 1)
    step = dy if dy.shape.rank == 3 else dy[:, None]
    return tf.where(shown, tf.cast(wide(step) / count, dy.dtype), 0)


def _sequence_forward(layer, weights, x, *, training, seed):
    x, beside = layer.apart(x)
    if beside:
        return *masked_average_pool1d_forward(x, beside["mask"], keepdims=layer.keepdims), {}
    return *global_average_pool1d_forward(x, keepdims=layer.keepdims), {}


def _sequence_backward(layer, dz, residuals):
    backward = masked_average_pool1d_backward if layer.takes else global_average_pool1d_backward
    return layer.in_order(backward(dz, residuals), {}), {}


def _pixel(y):
    """(B, C) or (B, 1, 1, C) -> (B, 1, 1, C)."""
    return y if y.shape.rank == 4 else y[:, None, None]


def _pixels_inside(window):
    """Returns the number of x's pixels under the window at each position, (1, P, Q, 1), from the shapes alone."""
    counts = []
    for axis in (0, 1):
        places = window.strides[axis] * np.arange(window.outputs[axis]) - window.added[axis][0]
        rows = places[:, None] + np.array(window.offsets[axis])
        counts.append(((rows >= 0) & (rows < window.sizes[axis])).sum(axis=1))
    return np.multiply.outer(*counts)[None, :, :, None]


def _window_forward(function, layer, weights, x, *, training, seed):
    return *function(x, pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding), {}


def _whole_forward(function, layer, weights, x, *, training, seed):
    return *function(x, keepdims=layer.keepdims), {}


def _backward(function, layer, dz, residuals):
    return function(dz, residuals), {}


KINDS = {
    "MaxPooling2D": (partial(_window_forward, max_pool2d_forward), partial(_backward, max_pool2d_backward)),
    "AveragePooling2D": (partial(_window_forward, average_pool2d_forward), partial(_backward, average_pool2d_backward)),
    "GlobalMaxPooling2D": (
        partial(_whole_forward, global_max_pool2d_forward),
        partial(_backward, global_max_pool2d_backward),
    ),
    "GlobalAveragePooling2D": (
        partial(_whole_forward, global_average_pool2d_forward),
        partial(_backward, global_average_pool2d_backward),
    ),
    "GlobalAveragePooling1D": (_sequence_forward, _sequence_backward),
}
