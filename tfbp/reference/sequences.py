"""Convolution and pooling of sequences, as images of one column, and their gradients.

B batch, T the steps of x, P of z, M of the kernel, I inputs, O outputs, G groups, D depth multiplier;
x (B, T, I), bias (O,) or None, z (B, P, O); kernel (M, I/G, O), and (M, I, D) for the depthwise convolution.
"""

from functools import partial

import numpy as np

from tfbp.reference import convolution, pooling


def conv1d_forward(x, kernel, bias=None, *, before=0, strides=(1,), padding="valid", dilation_rate=(1,), groups=1):
    """Returns z[b, t] = bias + Σ_m x[b, t · stride + m · dilation - before, …] · kernel[m], and the residuals."""
    padded = np.pad(x, ((0, 0), (before, 0), (0, 0)))
    options = dict(strides=(*strides, 1), padding=padding, dilation_rate=(*dilation_rate, 1), groups=groups)
    z, residuals = convolution.conv2d_forward(padded[:, :, None], kernel[:, None], bias, **options)
    return z[:, :, 0], (residuals, before)


def conv1d_backward(dz, residuals):
    """Returns dx (B, T, I), dkernel (M, I/G, O) and dbias (O,)."""
    residuals, before = residuals
    # z = conv2d(padded, kernel)[:, :, 0]                   (B, P, O) <- (B, P, 1, O)
    dpadded, dkernel, dbias = convolution.conv2d_backward(dz[:, :, None], residuals)
    # padded = pad(x)                                       (B, before + T, I) <- (B, T, I)
    return dpadded[:, before:, 0], dkernel[:, 0], dbias


def depthwise_conv1d_forward(x, kernel, bias=None, *, strides=(1,), padding="valid", dilation_rate=(1,)):
    """Returns z[b, t, i D + d] = bias + Σ_m x[b, t · stride + m · dilation, i] · kernel[m, i, d], and the residuals."""
    options = dict(strides=(*strides, 1), padding=padding, dilation_rate=(*dilation_rate, 1))
    z, residuals = convolution.depthwise_conv2d_forward(x[:, :, None], kernel[:, None], bias, **options)
    return z[:, :, 0], residuals


def depthwise_conv1d_backward(dz, residuals):
    """Returns dx (B, T, I), dkernel (M, I, D) and dbias (I · D,)."""
    dx, dkernel, dbias = convolution.depthwise_conv2d_backward(dz[:, :, None], residuals)
    return dx[:, :, 0], dkernel[:, 0], dbias


def _options(layer):
    return dict(strides=layer.strides, dilation_rate=layer.dilation_rate)


def _conv1d(layer, weights, x, *, training, seed):
    padding = "valid" if layer.padding == "causal" else layer.padding
    options = dict(before=layer.before, padding=padding, groups=layer.groups)
    return *conv1d_forward(x, **weights, **options, **_options(layer)), {}


def _depthwise_conv1d(layer, weights, x, *, training, seed):
    return *depthwise_conv1d_forward(x, **weights, padding=layer.padding, **_options(layer)), {}


def _backward(function, layer, dz, residuals):
    dx, dkernel, dbias = function(dz, residuals)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


def _pooled(function, layer, weights, x, *, training, seed):
    window = dict(pool_size=(*layer.pool_size, 1), strides=(*layer.strides, 1))
    y, residuals = function(x[:, :, None], **window, padding=layer.padding)
    return y[:, :, 0], residuals, {}


def _pooled_back(function, layer, dz, residuals):
    return function(dz[:, :, None], residuals)[:, :, 0], {}


def _global_max(layer, weights, x, *, training, seed):
    y, residuals = pooling.global_max_pool2d_forward(x[:, :, None])
    return y[:, None] if layer.keepdims else y, residuals, {}


def _global_max_back(layer, dz, residuals):
    return pooling.global_max_pool2d_backward(dz.reshape(len(dz), -1), residuals)[:, :, 0], {}


def _pair(kind):
    return (
        partial(_pooled, getattr(pooling, f"{kind}_forward")),
        partial(_pooled_back, getattr(pooling, f"{kind}_backward")),
    )


KINDS = {
    "Conv1D": (_conv1d, partial(_backward, conv1d_backward)),
    "DepthwiseConv1D": (_depthwise_conv1d, partial(_backward, depthwise_conv1d_backward)),
    "MaxPooling1D": _pair("max_pool2d"),
    "AveragePooling1D": _pair("average_pool2d"),
    "GlobalMaxPooling1D": (_global_max, _global_max_back),
}
