"""Convolution and pooling of volumes, by images, each backward under its forward.

A slice is a volume at one depth, an image; columns along the depth are an image of one column. B batch, D, H and W the
depth, height and width of x, R, P and Q of z, L, M and N of the kernel, I inputs, O outputs, G groups, C channels;
x (B, D, H, W, I), kernel (L, M, N, I/G, O), bias (O,) or None, z (B, R, P, Q, O).
"""

import math
from functools import partial

import tensorflow as tf

from tfbp.manual import convolution, pooling
from tfbp.manual.sizes import with_batch_of
from tfbp.manual.window import Window, sum_of, wide


def conv3d_forward(x, kernel, bias=None, *, strides=(1, 1, 1), padding="valid", dilation_rate=(1, 1, 1), groups=1):
    """Returns z, the sum over the kernel's levels of convolutions of slices, and the residuals.

    Example:
        >>> z, _ = conv3d_forward(tf.ones([1, 3, 3, 3, 1]), tf.ones([2, 2, 2, 1, 1]))
        >>> z.shape.as_list(), z.numpy().max().item()
        ([1, 2, 2, 2, 1], 8.0)
    """
    depth = Window((x.shape[1], 1), (kernel.shape[0], 1), (strides[0], 1), padding, (dilation_rate[0], 1))
    options = dict(strides=strides[1:], padding=padding, dilation_rate=dilation_rate[1:], groups=groups)
    found = [
        convolution.conv2d_forward(_slices(at, x), level, **options)
        for at, level in zip(depth.patches(_columns(x)), tf.unstack(kernel), strict=True)
    ]
    z = sum_of([each for each, _ in found], x.dtype)
    z = tf.reshape(z, with_batch_of(x, depth.outputs[0], *z.shape[1:]))
    return z if bias is None else z + bias, ([residuals for _, residuals in found], depth, x.shape)


def conv3d_backward(dz, residuals, *, bias_gradient=True):
    """Returns dx (B, D, H, W, I), dkernel (L, M, N, I/G, O) and dbias (O,), from dz; None for a dbias that is off."""
    level_residuals, depth, shape = residuals
    dslices_of_z = tf.reshape(dz, [-1, *dz.shape[2:]])
    # z = Σ conv2d(slices(at), kernel[level]) + bias        (B R, P, Q, O) <- (B R, H, W, I) of each level
    found = [convolution.conv2d_backward(dslices_of_z, of_level, bias_gradient=False) for of_level in level_residuals]
    dslices, dkernel, _ = zip(*found, strict=True)
    dats = [tf.reshape(each, with_batch_of(dz, depth.outputs[0], 1, math.prod(shape[2:]))) for each in dslices]
    # at = patches(columns(x))                              (B, R, 1, H W I) <- (B, D, 1, H W I)
    dx = depth.from_patches(dats, lambda _, dats: sum_of(dats, dz.dtype))
    dbias = tf.cast(tf.reduce_sum(wide(dz), axis=[0, 1, 2, 3]), dz.dtype) if bias_gradient else None
    return tf.reshape(dx, with_batch_of(dz, *shape[1:])), tf.stack(dkernel), dbias


def pool3d_forward(function, x, *, pool_size, strides, padding):
    """Returns y of pooling in each slice, and then along the depth, and the residuals."""
    slices, of_slices = function(_slices(x, x), pool_size=pool_size[1:], strides=strides[1:], padding=padding)
    columns = tf.reshape(slices, with_batch_of(x, x.shape[1], 1, math.prod(slices.shape[1:])))
    y, of_columns = function(columns, pool_size=(pool_size[0], 1), strides=(strides[0], 1), padding=padding)
    y = tf.reshape(y, with_batch_of(x, y.shape[1], *slices.shape[1:]))
    return y, (of_slices, of_columns, x.shape)


def pool3d_backward(function, dy, residuals):
    """Returns dx (B, D, H, W, C)."""
    of_slices, of_columns, shape = residuals
    # y = pool(columns)                                     (B, R, 1, P Q C) <- (B, D, 1, P Q C)
    dcolumns = function(_columns(dy), of_columns)
    # columns = pool(slices)                                (B D, P, Q, C) <- (B D, H, W, C)
    dslices = function(tf.reshape(dcolumns, [-1, *dy.shape[2:]]), of_slices)
    return tf.reshape(dslices, with_batch_of(dy, *shape[1:]))


def _columns(x):
    """(B, D, H, W, C) -> (B, D, 1, H W C)."""
    return tf.reshape(x, with_batch_of(x, x.shape[1], 1, math.prod(x.shape[2:])))


def _slices(columns, x):
    """(B, D, 1, H W C), or (B, D, H, W, C), -> (B D, H, W, C), as x has them."""
    return tf.reshape(columns, [-1, *x.shape[2:]])


def _conv3d(layer, weights, x, *, training, seed):
    options = dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)
    return *conv3d_forward(x, **weights, **options, groups=layer.groups), {}


def _conv3d_back(layer, dz, residuals):
    dx, dkernel, dbias = conv3d_backward(dz, residuals, bias_gradient=layer.use_bias)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


def _pooled(function, layer, weights, x, *, training, seed):
    window = dict(pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding)
    return *pool3d_forward(function, x, **window), {}


def _pooled_back(function, layer, dz, residuals):
    return pool3d_backward(function, dz, residuals), {}


def _whole(function, layer, weights, x, *, training, seed):
    image = tf.reshape(x, with_batch_of(x, x.shape[1], x.shape[2] * x.shape[3], x.shape[4]))
    y, residuals = function(image)
    return tf.reshape(y, with_batch_of(x, *layer.output_shape(x.shape[1:]))), (residuals, x.shape), {}


def _whole_back(function, layer, dz, residuals):
    residuals, shape = residuals
    # y = function(image)                                   (B, C) <- (B, D, H W, C)
    dimage = function(tf.reshape(dz, with_batch_of(dz, shape[-1])), residuals)
    return tf.reshape(dimage, with_batch_of(dz, *shape[1:])), {}


def _pair(forward, backward, kind):
    return (
        partial(forward, getattr(pooling, f"{kind}_forward")),
        partial(backward, getattr(pooling, f"{kind}_backward")),
    )


KINDS = {
    "Conv3D": (_conv3d, _conv3d_back),
    "MaxPooling3D": _pair(_pooled, _pooled_back, "max_pool2d"),
    "AveragePooling3D": _pair(_pooled, _pooled_back, "average_pool2d"),
    "GlobalMaxPooling3D": _pair(_whole, _whole_back, "global_max_pool2d"),
    "GlobalAveragePooling3D": _pair(_whole, _whole_back, "global_average_pool2d"),
}
