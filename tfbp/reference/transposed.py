"""Transposed convolutions, and their gradients.

B batch, H and W the height and width of z, P and Q of x, M and N of the kernel, I inputs, O outputs;
x (B, P, Q, I), kernel (M, N, O, I), bias (O,) or None, z (B, H, W, O). A sequence is an image of one column.
"""

import numpy as np

from tfbp.reference.window import Window


def conv2d_transpose_forward(x, kernel, bias=None, *, sizes, strides, padding):
    """Returns z, and the residuals: each x times the kernel is added to its window; `sizes` are H and W."""
    window = Window(sizes, kernel.shape[:2], strides, padding)
    padded = window.pad(np.zeros((len(x), *sizes, kernel.shape[2]), np.result_type(x, kernel)))
    for m, n, at in window.positions():
        padded[at] += x @ kernel[m, n].T
    z = window.unpad(padded)
    return z if bias is None else z + bias, (x, kernel, window)


def conv2d_transpose_backward(dz, residuals):
    """Returns dx (B, P, Q, I), dkernel (M, N, O, I) and dbias (O,)."""
    x, kernel, window = residuals
    # z = z + bias                                          (B, H, W, O) <- (O,)
    dbias = dz.sum(axis=(0, 1, 2))
    # z = unpad(padded)
    dpadded = window.pad(dz)
    dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for m, n, at in window.positions():
        # padded[at] += x @ kernel[m, n]ᵀ                   (B, P, Q, O) <- (B, P, Q, I) (O, I)
        dx += dpadded[at] @ kernel[m, n]
        dkernel[m, n] = np.einsum("bpqo,bpqi->oi", dpadded[at], x)
    return dx, dkernel, dbias


def _as_images(layer, x):
    return x if layer.axes == 2 else x[:, :, None]


def _as_inputs(layer, y):
    return y if layer.axes == 2 else y[:, :, 0]


def forward(layer, weights, x, *, training, seed):
    one = () if layer.axes == 2 else (1,)
    kernel = weights["kernel"] if layer.axes == 2 else weights["kernel"][:, None]
    options = {"sizes": (*layer.output_shape(x.shape[1:])[:-1], *one), "strides": (*layer.strides, *one)}
    given = (_as_images(layer, x), kernel, weights.get("bias"))
    z, residuals = conv2d_transpose_forward(*given, **options, padding=layer.padding)
    return _as_inputs(layer, z), residuals, {}


def backward(layer, dz, residuals):
    dx, dkernel, dbias = conv2d_transpose_backward(_as_images(layer, dz), residuals)
    dkernel = dkernel if layer.axes == 2 else dkernel[:, 0]
    return _as_inputs(layer, dx), {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


KINDS = {"Conv1DTranspose": (forward, backward), "Conv2DTranspose": (forward, backward)}
