"""Calls TensorFlow's kernels of convolution and pooling, forward and backward: the only gradient kernels in use.

Without XLA on a CPU, and on a GPU, they are faster than products over patches. Each has a function of the same name in
`convolution.py`, `volumes.py` or `pooling.py` that spells it out, and the tests compare the two. The letters are
defined there.
"""

import math

import tensorflow as tf

from tfbp.manual import convolution
from tfbp.manual.sizes import size_of, with_batch_of
from tfbp.manual.window import Window


def conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid"):
    z = _of_nothing(tf.nn.conv2d(x, kernel, strides, padding.upper()), x, kernel, kernel.shape[3], strides, padding)
    return z if bias is None else tf.nn.bias_add(z, bias), (x, kernel, strides, padding)


def conv2d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    x, kernel, strides, padding = residuals
    options = dict(strides=[1, *strides, 1], padding=padding.upper())
    dx = dkernel = None
    dz = _at_all_places(dz, x, kernel, strides, padding)
    # z = conv2d(x, kernel)                                 (B, P, Q, O) <- (B, H, W, I) (M, N, I, O)
    if input_gradient:
        dx = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(x), filter=kernel, out_backprop=dz, **options)
    if kernel_gradient:
        dkernel = tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=tf.shape(kernel), out_backprop=dz, **options)
        dkernel = _zero_of_nothing(dkernel, dz, axes=(1, 2))
    # z = bias_add(z, bias)                                 (B, P, Q, O) <- (O,)
    return dx, dkernel, _sum_over_places(dz) if bias_gradient else None


def conv3d_forward(x, kernel, bias=None, *, strides=(1, 1, 1), padding="valid"):
    z = tf.nn.conv3d(x, kernel, [1, *strides, 1], padding.upper())
    z = _of_nothing(z, x, kernel, kernel.shape[4], strides, padding)
    return z if bias is None else z + bias, (x, kernel, strides, padding)


def conv3d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    x, kernel, strides, padding = residuals
    options = dict(strides=[1, *strides, 1], padding=padding.upper())
    dx = dkernel = None
    dz = _at_all_places(dz, x, kernel, strides, padding)
    # z = conv3d(x, kernel)                                 (B, R, P, Q, O) <- (B, D, H, W, I) (L, M, N, I, O)
    if input_gradient:
        dx = tf.raw_ops.Conv3DBackpropInputV2(input_sizes=tf.shape(x), filter=kernel, out_backprop=dz, **options)
    if kernel_gradient:
        dkernel = tf.raw_ops.Conv3DBackpropFilterV2(input=x, filter_sizes=tf.shape(kernel), out_backprop=dz, **options)
        dkernel = _zero_of_nothing(dkernel, dz, axes=(0, 1, 2, 3))
    # z = z + bias                                          (B, R, P, Q, O) <- (O,)
    return dx, dkernel, _sum_over_places(dz) if bias_gradient else None


def dilated_conv2d_forward(x, kernel, bias=None, *, padding, dilation_rate):
    """Calls the forward kernel alone, an operation that converters know; the backward is spelled out."""
    z = tf.nn.convolution(x, kernel, padding=padding.upper(), dilations=dilation_rate)
    z = _of_nothing(z, x, kernel, kernel.shape[3], (1, 1), padding, dilation_rate)
    window = Window(x.shape[1:3], kernel.shape[:2], (1, 1), padding, dilation_rate)
    return z if bias is None else tf.nn.bias_add(z, bias), (x, kernel, window, 1)


dilated_conv2d_backward = convolution.conv2d_backward


def dilated_depthwise_conv2d_forward(x, kernel, bias=None, *, padding, dilation_rate):
    """Calls the forward kernel alone, an operation that converters know; the backward is spelled out."""
    z = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], padding.upper(), dilations=dilation_rate)
    z = _of_nothing(z, x, kernel, kernel.shape[2] * kernel.shape[3], (1, 1), padding, dilation_rate)
    window = Window(x.shape[1:3], kernel.shape[:2], (1, 1), padding, dilation_rate)
    return z if bias is None else tf.nn.bias_add(z, bias), (x, kernel, window)


dilated_depthwise_conv2d_backward = convolution.depthwise_conv2d_backward


def depthwise_conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid"):
    z = tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding.upper())
    z = _of_nothing(z, x, kernel, kernel.shape[2] * kernel.shape[3], strides, padding)
    return z if bias is None else tf.nn.bias_add(z, bias), (x, kernel, strides, padding)


def depthwise_conv2d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    x, kernel, strides, padding = residuals
    options = dict(strides=[1, *strides, 1], padding=padding.upper())
    dx = dkernel = None
    dz = _at_all_places(dz, x, kernel, strides, padding)
    # z = depthwise_conv2d(x, kernel)                       (B, P, Q, I D) <- (B, H, W, I) (M, N, I, D)
    if input_gradient:
        dx = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=dz, **options
        )
    if kernel_gradient:
        dkernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x, filter_sizes=tf.shape(kernel), out_backprop=dz, **options
        )
        dkernel = _zero_of_nothing(dkernel, dz, axes=(0, 1, 2))
    # z = bias_add(z, bias)                                 (B, P, Q, O) <- (O,)
    return dx, dkernel, _sum_over_places(dz) if bias_gradient else None


def max_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    strides = strides or pool_size
    y = tf.nn.max_pool2d(x, pool_size, strides, padding.upper())
    return y, (x, y, dict(ksize=[1, *pool_size, 1], strides=[1, *strides, 1], padding=padding.upper()))


def max_pool2d_backward(dy, residuals):
    x, y, options = residuals
    # in a graph, oneDNN's bfloat16 gradient of larger windows is wrong, and differs at every call
    wide = tf.float32 if x.dtype == tf.bfloat16 and math.prod(options["ksize"]) > 256 else x.dtype
    # y = max_pool2d(x)                                     (B, P, Q, C) <- (B, H, W, C)
    x, y, dy = (tf.cast(tensor, wide) for tensor in (x, y, dy))
    dx = tf.cast(tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=y, grad=dy, **options), residuals[0].dtype)
    return _zero_of_nothing(dx, dy, axes=(1, 2))


def average_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    strides = strides or pool_size
    options = dict(ksize=[1, *pool_size, 1], strides=[1, *strides, 1], padding=padding.upper())
    return tf.nn.avg_pool2d(x, pool_size, strides, padding.upper()), (tf.shape(x), options)


def average_pool2d_backward(dy, residuals):
    shape, options = residuals
    # y = avg_pool2d(x)                                     (B, P, Q, C) <- (B, H, W, C)
    dx = tf.raw_ops.AvgPoolGrad(orig_input_shape=shape, grad=dy, **options)
    return _zero_of_nothing(dx, dy, axes=(1, 2))


def has_positions(x, kernel, strides, padding, dilation_rate):
    """Returns whether the window of some example has a position: where none has, the gradients of a kernel are 0."""
    return tf.reduce_min([size_of(x, 0), *_places(x, kernel, strides, padding, dilation_rate)]) > 0


def _of_nothing(z, x, kernel, filters, strides, padding, dilation_rate=(1, 1, 1)):
    """Returns z, as (0, …, O) for no examples: oneDNN's kernel returns x's sizes, which the bias does not fit.

    A batch size that is unknown in the trace stays: TensorFlow fuses the two there, and removes a redundant reshape.
    """
    if x.shape[0] != 0:
        return z
    return tf.reshape(z, with_batch_of(x, *_places(x, kernel, strides, padding, dilation_rate), filters))


def _at_all_places(dz, x, kernel, strides, padding):
    """Returns dz (B, …, O): for no examples, dz has the sizes of z from `_of_nothing`, without a number."""
    if dz.shape[0]:
        return dz
    return tf.reshape(dz, with_batch_of(x, *_places(x, kernel, strides, padding), dz.shape[-1]))


def _places(x, kernel, strides, padding, dilation_rate=(1, 1, 1)):
    """Returns the numbers of the window's positions along each axis, as P and Q of an image."""
    axes = range(1, x.shape.rank - 1)
    windows = [(kernel.shape[axis - 1] - 1) * dilation_rate[axis - 1] + 1 for axis in axes]
    kept_off = [0 if padding == "same" else window - 1 for window in windows]
    return [
        (size_of(x, axis) - off + stride - 1) // stride
        for axis, off, stride in zip(axes, kept_off, strides, strict=True)
    ]


def _zero_of_nothing(gradient, dy, axes):
    """Returns a gradient of dy, 0 where an axis of dy is empty: there the kernel returns uninitialized memory."""
    sizes = [dy.shape[axis] for axis in axes]
    if 0 in sizes:
        return tf.zeros_like(gradient)
    return gradient if None not in sizes else tf.where(tf.size(dy) > 0, gradient, tf.zeros([], gradient.dtype))


def _sum_over_places(dz):
    # 16-bit numbers are summed in float32, as in `convolution`
    wide = tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz
    return tf.cast(tf.reduce_sum(wide, axis=[*range(dz.shape.rank - 1)]), dz.dtype)
