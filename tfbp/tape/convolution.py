"""The convolution and the depthwise convolution, forward only: tf.GradientTape differentiates.

B batch, H and W the height and width of x, P and Q of z, M and N of the kernel, I inputs, O outputs,
G groups, D depth multiplier; x (B, H, W, I), bias (O,) or None, z (B, P, Q, O); kernel (M, N, I/G, O), and (M, N, I, D)
for the depthwise convolution, where O = I · D.
"""

import tensorflow as tf


def conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1):
    # one convolution for each group: TensorFlow has no float64 gradient of a grouped convolution on the CPU
    parts = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    z = [tf.nn.convolution(_wide(i), _wide(k), strides, padding.upper(), dilations=dilation_rate) for i, k in parts]
    z = tf.cast(z[0] if groups == 1 else tf.concat(z, axis=-1), x.dtype)
    return z if bias is None else tf.nn.bias_add(z, bias)


def depthwise_conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1)):
    strides_of_four = [1, *strides, 1]
    if strides[0] != strides[1] or (max(strides) > 1 and max(dilation_rate) > 1):
        return _as_convolution(x, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation_rate)
    options = dict(padding=padding.upper(), dilations=dilation_rate)
    z = tf.cast(tf.nn.depthwise_conv2d(_wide(x), _wide(kernel), strides_of_four, **options), x.dtype)
    return z if bias is None else tf.nn.bias_add(z, bias)


def _wide(a):
    # on some CPUs the gradient of TensorFlow's convolution sums float16 in float16
    return tf.cast(a, tf.float32) if a.dtype == tf.float16 else a


def _as_convolution(x, kernel, bias, **options):
    """Returns a convolution with one group per channel: TensorFlow's depthwise one takes one stride, or a dilation."""
    inputs, depth = kernel.shape[2:]
    flat = tf.reshape(kernel, [*kernel.shape[:2], 1, inputs * depth])
    return conv2d_forward(x, flat, bias, groups=inputs, **options)


def _options(layer):
    return dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)


def _conv2d(layer, weights, x, *, training, seed):
    return conv2d_forward(x, **weights, **_options(layer), groups=layer.groups), {}


def _depthwise_conv2d(layer, weights, x, *, training, seed):
    return depthwise_conv2d_forward(x, **weights, **_options(layer)), {}


KINDS = {"Conv2D": _conv2d, "DepthwiseConv2D": _depthwise_conv2d}
