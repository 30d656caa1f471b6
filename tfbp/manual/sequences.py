"""Convolution and pooling of sequences, as images of one column, each backward under its forward.

B batch, T the steps of x, P of z, M of the kernel, I inputs, O outputs, G groups, D depth multiplier;
x (B, T, I), bias (O,) or None, z (B, P, O); kernel (M, I/G, O), and (M, I, D) for the depthwise convolution.
"""

from functools import partial

import tensorflow as tf

from tfbp.manual import convolution, pooling


def conv1d_forward(x, kernel, bias=None, *, before=0, strides=(1,), padding="valid", dilation_rate=(1,), groups=1):
    """Returns z, and the residuals of the convolution of images.

    Args:
        before: the number of zeros before the first step.

    Example:
        >>> x, kernel = tf.ones([1, 3, 1]), tf.ones([2, 1, 1])
        >>> conv1d_forward(x, kernel, before=1)[0].numpy().ravel()
        array([1., 2., 2.], dtype=float32)
    """
    padded = tf.pad(x, [[0, 0], [before, 0], [0, 0]]) if before else x
    options = dict(strides=(*strides, 1), padding=padding, dilation_rate=(*dilation_rate, 1), groups=groups)
    z, residuals = convolution.conv2d_forward(padded[:, :, None], kernel[:, None], bias, **options)
    return z[:, :, 0], (residuals, before)


def conv1d_backward(dz, residuals, **options):
    """Returns dx (B, T, I), dkernel (M, I/G, O) and dbias (O,), from dz; `bias_gradient=False` omits dbias."""
    residuals, before = residuals
    # z = conv2d(padded, kernel)[:, :, 0]                   (B, P, O) <- (B, P, 1, O)
    dpadded, dkernel, dbias = convolution.conv2d_backward(dz[:, :, None], residuals, **options)
    # padded = pad(x)                                       (B, before + T, I) <- (B, T, I)
    return dpadded[:, before:, 0], dkernel[:, 0], dbias


def depthwise_conv1d_forward(x, kernel, bias=None, *, strides=(1,), padding="valid", dilation_rate=(1,)):
    """Returns z, and the residuals of the depthwise convolution of images."""
    options = dict(strides=(*strides, 1), padding=padding, dilation_rate=(*dilation_rate, 1))
    z, residuals = convolution.depthwise_conv2d_forward(x[:, :, None], kernel[:, None], bias, **options)
    return z[:, :, 0], residuals


def depthwise_conv1d_backward(dz, residuals, **options):
    """Returns dx (B, T, I), dkernel (M, I, D) and dbias (I · D,), from dz."""
    # z = depthwise_conv2d(x, kernel)[:, :, 0]              (B, P, O) <- (B, P, 1, O)
    dx, dkernel, dbias = convolution.depthwise_conv2d_backward(dz[:, :, None], residuals, **options)
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
    dx, dkernel, dbias = function(dz, residuals, bias_gradient=layer.use_bias)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


def _conv1d_gradients(layer, x, dz):
    """Returns each example's gradient, (B, …) of each weight, as of an image of one column."""
    padded = tf.pad(x, [[0, 0], [layer.before, 0], [0, 0]])
    padding = "valid" if layer.padding == "causal" else layer.padding
    options = dict(padding=padding, groups=layer.groups, **_of_columns(layer))
    return _with_bias(layer, convolution.conv2d_of_examples(padded[:, :, None], dz[:, :, None], **options), dz)


def _depthwise_conv1d_gradients(layer, x, dz):
    options = dict(padding=layer.padding, **_of_columns(layer))
    dkernel = convolution.depthwise_conv2d_of_examples(x[:, :, None], dz[:, :, None], **options)
    return _with_bias(layer, dkernel, dz)


def _of_columns(layer):
    return {name: (*getattr(layer, name), 1) for name in ("kernel_size", "strides", "dilation_rate")}


def _with_bias(layer, dkernel, dz):
    """Returns the gradients by name, from dkernel (B, M, 1, …)."""
    dkernel = tf.squeeze(dkernel, [2])
    return {"kernel": dkernel, "bias": tf.reduce_sum(dz, axis=1)} if layer.use_bias else {"kernel": dkernel}


def _pooled(function, layer, weights, x, *, training, seed):
    window = dict(pool_size=(*layer.pool_size, 1), strides=(*layer.strides, 1))
    y, residuals = function(x[:, :, None], **window, padding=layer.padding)
    return y[:, :, 0], residuals, {}


def _pooled_back(function, layer, dz, residuals):
    # y = pool(x)[:, :, 0]                                  (B, P, C) <- (B, P, 1, C)
    return function(dz[:, :, None], residuals)[:, :, 0], {}


def _global_max(layer, weights, x, *, training, seed):
    return *pooling.global_max_pool1d_forward(x, keepdims=layer.keepdims), {}


def _global_max_back(layer, dz, residuals):
    return pooling.global_max_pool1d_backward(dz, residuals), {}


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
PER_EXAMPLE = {
    "Conv1D": {"gradients": _conv1d_gradients},
    "DepthwiseConv1D": {"gradients": _depthwise_conv1d_gradients},
}
