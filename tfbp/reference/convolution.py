"""The convolution and the depthwise convolution: sums over the positions of the kernel, and their gradients.

B batch, H and W the height and width of x, P and Q of z, M and N of the kernel, I inputs, O outputs,
G groups, D depth multiplier; x (B, H, W, I), bias (O,) or None, z (B, P, Q, O); kernel (M, N, I/G, O), and (M, N, I, D)
for the depthwise convolution, where O = I · D.
"""

from functools import partial

import numpy as np

from tfbp.reference.window import Window


def conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1):
    """Returns z[b, p, q] = bias + Σ_mn x[b, p · stride + m · dilation - before, …] · kernel[m, n], and residuals."""
    window = Window(x.shape[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    padded, outputs = window.pad(x), kernel.shape[-1]
    z = np.zeros((len(x), *window.outputs, outputs), np.result_type(x, kernel))
    for m, n, at in window.positions():
        for i, o in _channels(x.shape[-1], outputs, groups):
            z[..., o] += padded[at][..., i] @ kernel[m, n, :, o]
    if bias is not None:
        z = z + bias
    return z, (x, kernel, window, groups)


def conv2d_backward(dz, residuals):
    """Returns dx (B, H, W, I), dkernel (M, N, I/G, O) and dbias (O,)."""
    x, kernel, window, groups = residuals
    # z = z + bias                                          (B, P, Q, O) <- (O,)
    dbias = dz.sum(axis=(0, 1, 2))
    padded = window.pad(x)
    dpadded, dkernel = np.zeros(padded.shape, dz.dtype), np.zeros(kernel.shape, dz.dtype)
    for m, n, at in window.positions():
        for i, o in _channels(x.shape[-1], kernel.shape[-1], groups):
            # z[..., o] += padded[at][..., i] @ kernel[m, n, :, o]   (B, P, Q, O/G) <- (B, P, Q, I/G) (I/G, O/G)
            dkernel[m, n, :, o] = np.einsum("bpqi,bpqo->io", padded[at][..., i], dz[..., o])
            dpadded[at][..., i] += dz[..., o] @ kernel[m, n, :, o].T
    # padded = pad(x)                                       (B, H + …, W + …, I) <- (B, H, W, I)
    return window.unpad(dpadded), dkernel, dbias


def depthwise_conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1)):
    """Returns z[b, p, q, i D + d] = bias + Σ_mn x[b, p · stride + m · dilation - before, …, i] · kernel[m, n, i, d]."""
    window = Window(x.shape[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    padded = window.pad(x)
    z = np.zeros((len(x), *window.outputs, *kernel.shape[2:]), np.result_type(x, kernel))
    for m, n, at in window.positions():
        z = z + padded[at][..., None] * kernel[m, n]
    z = z.reshape(*z.shape[:3], -1)
    if bias is not None:
        z = z + bias
    return z, (x, kernel, window)


def depthwise_conv2d_backward(dz, residuals):
    """Returns dx (B, H, W, I), dkernel (M, N, I, D) and dbias (I · D,)."""
    x, kernel, window = residuals
    # z = z + bias                                          (B, P, Q, O) <- (O,)
    dbias = dz.sum(axis=(0, 1, 2))
    # z = z.reshape(…)                                      (B, P, Q, O) <- (B, P, Q, I, D)
    dz = dz.reshape(*dz.shape[:3], *kernel.shape[2:])
    padded = window.pad(x)
    dpadded, dkernel = np.zeros(padded.shape, dz.dtype), np.zeros(kernel.shape, dz.dtype)
    for m, n, at in window.positions():
        # z = z + padded[at][..., None] * kernel[m, n]      (B, P, Q, I, D) <- (B, P, Q, I, 1) (I, D)
        dkernel[m, n] = (padded[at][..., None] * dz).sum(axis=(0, 1, 2))
        dpadded[at] += (dz * kernel[m, n]).sum(axis=-1)
    # padded = pad(x)                                       (B, H + …, W + …, I) <- (B, H, W, I)
    return window.unpad(dpadded), dkernel, dbias


def _channels(inputs, outputs, groups):
    """Yields the inputs and outputs of each group."""
    for group in range(groups):
        yield tuple(slice(group * size // groups, (group + 1) * size // groups) for size in (inputs, outputs))


def _options(layer):
    return dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)


def _conv2d(layer, weights, x, *, training, seed):
    return *conv2d_forward(x, **weights, **_options(layer), groups=layer.groups), {}


def _depthwise_conv2d(layer, weights, x, *, training, seed):
    return *depthwise_conv2d_forward(x, **weights, **_options(layer)), {}


def _backward(function, layer, dz, residuals):
    dx, dkernel, dbias = function(dz, residuals)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


KINDS = {
    "Conv2D": (_conv2d, partial(_backward, conv2d_backward)),
    "DepthwiseConv2D": (_depthwise_conv2d, partial(_backward, depthwise_conv2d_backward)),
}
