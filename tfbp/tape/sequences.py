"""Convolution and pooling of sequences, forward only: tf.GradientTape differentiates.

B batch, T the steps of x, M of the kernel, I inputs, O outputs, G groups, D depth multiplier; x (B, T, I),
bias (O,) or None; kernel (M, I/G, O), and (M, I, D) for the depthwise convolution.
"""

from functools import partial

import tensorflow as tf


def conv1d_forward(x, kernel, bias=None, *, strides=(1,), padding="valid", dilation_rate=(1,), groups=1):
    # one convolution for each group: TensorFlow has no float64 gradient of a grouped convolution on the CPU
    parts = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    z = [tf.nn.convolution(_wide(i), _wide(k), strides, padding.upper(), dilations=dilation_rate) for i, k in parts]
    z = tf.cast(z[0] if groups == 1 else tf.concat(z, axis=-1), x.dtype)
    return z if bias is None else tf.nn.bias_add(z, bias)


def _wide(a):
    # on some CPUs the gradient of TensorFlow's convolution sums float16 in float16
    return tf.cast(a, tf.float32) if a.dtype == tf.float16 else a


def _conv1d(layer, weights, x, *, training, seed):
    padding = "valid" if layer.padding == "causal" else layer.padding
    padded = tf.pad(x, [[0, 0], [layer.before, 0], [0, 0]])
    options = dict(strides=layer.strides, padding=padding, dilation_rate=layer.dilation_rate, groups=layer.groups)
    return conv1d_forward(padded, **weights, **options), {}


def _depthwise_conv1d(layer, weights, x, *, training, seed):
    # a convolution with one group per channel
    kernel = tf.reshape(weights["kernel"], [*layer.kernel_size, 1, -1])
    options = dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)
    return conv1d_forward(x, kernel, weights.get("bias"), groups=x.shape[-1], **options), {}


def _pooled(function, layer, weights, x, *, training, seed):
    return function(x, layer.pool_size, layer.strides, layer.padding.upper()), {}


def _global_max(layer, weights, x, *, training, seed):
    return tf.reduce_max(x, axis=1, keepdims=layer.keepdims), {}


KINDS = {
    "Conv1D": _conv1d,
    "DepthwiseConv1D": _depthwise_conv1d,
    "MaxPooling1D": partial(_pooled, tf.nn.max_pool1d),
    "AveragePooling1D": partial(_pooled, tf.nn.avg_pool1d),
    "GlobalMaxPooling1D": _global_max,
}
