"""softmax, log_softmax and sparsemax. The backward writes the whole Jacobian of a row as a matrix.

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


def sparsemax_forward(z):
    # the nearest point to z with numbers of at least 0 and sum 1; tau shifts the row to that sum
    seen = _support(z)
    tau = (np.where(seen, z, 0).sum(axis=-1, keepdims=True) - 1) / seen.sum(axis=-1, keepdims=True)
    return np.where(seen, z - tau, 0)


def sparsemax_backward(dy, z):
    # J[b, i, j] = s_i (δ_ij - s_j / Σ s),  s = 1 where y > 0; 0 where z_i = tau
    s = _support(z).astype(np.float64)
    mean = s[..., None, :] / s.sum(axis=-1)[..., None, None]
    return np.einsum("...i,...ij->...j", dy, s[..., :, None] * (np.eye(z.shape[-1]) - mean))


def _support(z):
    # z_j > tau, because Σ_i max(z_i - tau, 0) = 1 falls with tau
    above = z.real[..., :, None] - z.real[..., None, :]
    return np.maximum(above, 0).sum(axis=-2) < 1


def _largest(z):
    return z.real.max(axis=-1, keepdims=True)


ACTIVATIONS = {
    "softmax": (softmax_forward, softmax_backward),
    "log_softmax": (log_softmax_forward, log_softmax_backward),
    "sparsemax": (sparsemax_forward, sparsemax_backward),
}
