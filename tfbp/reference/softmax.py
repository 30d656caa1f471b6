"""softmax and log_softmax. The backward writes the whole Jacobian of a row as a matrix.

z pre-activation, y output, both (B, …, O), each row by itself; J[b] = dy[b] / dz[b], (O, O).
"""

import numpy as np


def softmax_forward(z):
    e = np.exp(z - _largest(z))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy, z):
    # J[b, i, j] = y_i (δ_ij - y_j)
    y = softmax_forward(z)
    jacobian = y[..., :, None] * (np.eye(z.shape[-1]) - y[..., None, :])
    return np.einsum("...i,...ij->...j", dy, jacobian)


def log_softmax_forward(z):
    shifted = z - _largest(z)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_softmax_backward(dy, z):
    # J[b, i, j] = δ_ij - softmax(z)_j
    jacobian = np.eye(z.shape[-1]) - softmax_forward(z)[..., None, :]
    return np.einsum("...i,...ij->...j", dy, jacobian)


def _largest(z):
    return z.real.max(axis=-1, keepdims=True)


ACTIVATIONS = {
    "softmax": (softmax_forward, softmax_backward),
    "log_softmax": (log_softmax_forward, log_softmax_backward),
}
