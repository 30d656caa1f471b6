"""Losses per sample, and their gradients with respect to the network's outputs. Cross-entropies take logits.

B batch, O outputs; y targets (B, O), or (B,) labels for the sparse loss; outputs (B, O); losses (B,). A sample with
several tokens has one loss for each: outputs are (B, T, O), losses (B, T).
Formulas use only analytic operations and branch on the real part, for complex steps.
"""

import numpy as np

from tfbp.reference.smooth_activations import sigmoid_forward, softplus_forward
from tfbp.reference.softmax import log_softmax_forward, softmax_forward


def half_squared_error_forward(y, outputs):
    return ((y - outputs) ** 2).sum(axis=-1) / 2


def half_squared_error_backward(dlosses, y, outputs):
    # d/do ½ (y - o)² = o - y
    return dlosses[..., None] * (outputs - y)


def mean_squared_error_forward(y, outputs):
    return ((y - outputs) ** 2).mean(axis=-1)


def mean_squared_error_backward(dlosses, y, outputs):
    return dlosses[..., None] * 2 * (outputs - y) / outputs.shape[-1]


def mean_absolute_error_forward(y, outputs):
    error = outputs - y
    return np.where(error.real >= 0, error, -error).mean(axis=-1)


def mean_absolute_error_backward(dlosses, y, outputs):
    """The derivative of |o - y| at o = y is 0."""
    return dlosses[..., None] * np.sign(outputs - y) / outputs.shape[-1]


def huber_forward(y, outputs, delta):
    error = outputs - y
    distance = np.where(error.real >= 0, error, -error)
    return np.where(distance.real <= delta, error**2 / 2, delta * distance - delta**2 / 2).mean(axis=-1)


def huber_backward(dlosses, y, outputs, delta):
    return dlosses[..., None] * np.clip(outputs - y, -delta, delta) / outputs.shape[-1]


def binary_crossentropy_forward(y, outputs):
    # -y log σ(o) - (1 - y) log(1 - σ(o)) = softplus(o) - y o
    return (softplus_forward(outputs) - y * outputs).mean(axis=-1)


def binary_crossentropy_backward(dlosses, y, outputs):
    return dlosses[..., None] * (sigmoid_forward(outputs) - y) / outputs.shape[-1]


def categorical_crossentropy_forward(y, outputs):
    return -(y * log_softmax_forward(outputs)).sum(axis=-1)


def categorical_crossentropy_backward(dlosses, y, outputs):
    # d/do -Σ y_i log p_i = p Σ y - y, which is p - y where the targets of a row sum to 1
    return dlosses[..., None] * (softmax_forward(outputs) * y.sum(axis=-1, keepdims=True) - y)


def sparse_categorical_crossentropy_forward(y, outputs):
    return categorical_crossentropy_forward(np.eye(outputs.shape[-1])[y], outputs)


def sparse_categorical_crossentropy_backward(dlosses, y, outputs):
    return categorical_crossentropy_backward(dlosses, np.eye(outputs.shape[-1])[y], outputs)


LOSSES = {
    "half_squared_error": (half_squared_error_forward, half_squared_error_backward),
    "mean_squared_error": (mean_squared_error_forward, mean_squared_error_backward),
    "mean_absolute_error": (mean_absolute_error_forward, mean_absolute_error_backward),
    "huber": (huber_forward, huber_backward),
    "binary_crossentropy": (binary_crossentropy_forward, binary_crossentropy_backward),
    "categorical_crossentropy": (categorical_crossentropy_forward, categorical_crossentropy_backward),
    "sparse_categorical_crossentropy": (
        sparse_categorical_crossentropy_forward,
        sparse_categorical_crossentropy_backward,
    ),
}


def loss_forward(loss, y, outputs):
    """Returns the loss of every sample, (B,), or of each of its tokens, (B, T), and the residuals y and outputs."""
    is_sparse = loss.name.startswith("sparse_")
    y = y.reshape(outputs.shape[:-1]).astype(np.int64) if is_sparse else y.reshape(outputs.shape)
    return LOSSES[loss.name][0](y, outputs, **loss.arguments), (y, outputs)


def loss_backward(loss, dlosses, residuals):
    """Returns the gradient with respect to outputs, in their shape, from dlosses in the losses' shape."""
    return LOSSES[loss.name][1](dlosses, *residuals, **loss.arguments)
