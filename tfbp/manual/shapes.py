"""Flatten and Reshape: the numbers of an example in another shape.

B batch; x (B, …), y (B, …) with the same number of numbers.
"""

import tensorflow as tf


def reshape_forward(x, shape):
    """Returns y, of the shape (B, *shape), and the shape of an example of x."""
    return tf.reshape(x, [-1, *shape]), tuple(x.shape[1:])


def reshape_backward(dy, shape):
    """Returns dx: dy in the shape of x."""
    # y = reshape(x, [-1, *shape])                     (B, …) <- (B, …)
    return tf.reshape(dy, [-1, *shape])


def forward(layer, weights, x, *, training, seed):
    y, residuals = reshape_forward(x, layer.output_shape(tuple(x.shape[1:])))
    return y, residuals, {}


def backward(layer, dz, residuals):
    return reshape_backward(dz, residuals), {}


KINDS = {"Flatten": (forward, backward), "Reshape": (forward, backward)}
