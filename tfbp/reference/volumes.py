"""Convolution and pooling of volumes, by images: the slices of a volume at one depth, and columns along the depth.

B batch, D, H and W the depth, height and width of x, R, P and Q of z, L, M and N of the kernel, I inputs, O outputs,
G groups, C channels; x (B, D, H, W, I), kernel (L, M, N, I/G, O), bias (O,) or None, z (B, R, P, Q, O).
"""

from functools import partial

import numpy as np

from tfbp.reference import convolution, pooling
from tfbp.reference.window import Window


def conv3d_forward(x, kernel, bias=None, *, strides=(1, 1, 1), padding="valid", dilation_rate=(1, 1, 1), groups=1):
    """Returns z[b, r] = bias + Σ_l conv2d(x[b, r · stride + l · dilation - before], kernel[l]), and the residuals."""
    depth = Window((x.shape[1], 1), (len(kernel), 1), (strides[0], 1), padding, (dilation_rate[0], 1))
    padded = depth.pad(_columns(x))
    options = dict(strides=strides[1:], padding=padding, dilation_rate=dilation_rate[1:], groups=groups)
    z, level_residuals = 0, []
    for level, _, at in depth.positions():
        of_level, residuals = convolution.conv2d_forward(_slices(padded[at], x), kernel[level], **options)
        z = z + of_level
        level_residuals.append(residuals)
    z = z.reshape(len(x), -1, *z.shape[1:])
    return z if bias is None else z + bias, (level_residuals, depth, x.shape, kernel.shape)


def conv3d_backward(dz, residuals):
    """Returns dx (B, D, H, W, I), dkernel (L, M, N, I/G, O) and dbias (O,)."""
    level_residuals, depth, shape, kernel_shape = residuals
    # z = z + bias                                          (B, R, P, Q, O) <- (O,)
    dbias = dz.sum(axis=(0, 1, 2, 3))
    dpadded, dkernel = depth.pad(_columns(np.zeros(shape, dz.dtype))), np.zeros(kernel_shape, dz.dtype)
    for level, _, at in depth.positions():
        # z = z + conv2d(slices(padded[at]), kernel[level])   (B R, P, Q, O) <- (B R, H, W, I)
        dslices, dkernel[level], _ = convolution.conv2d_backward(dz.reshape(-1, *dz.shape[2:]), level_residuals[level])
        dpadded[at] += dslices.reshape(dpadded[at].shape)
    # padded = pad(columns(x))                              (B, D + …, 1, H W I) <- (B, D, H, W, I)
    return depth.unpad(dpadded).reshape(shape), dkernel, dbias


def pool3d_forward(function, x, *, pool_size, strides, padding):
    """Returns y of pooling in each slice, and then along the depth, and the residuals."""
    slices, of_slices = function(_slices(x, x), pool_size=pool_size[1:], strides=strides[1:], padding=padding)
    columns = slices.reshape(len(x), x.shape[1], 1, -1)
    y, of_columns = function(columns, pool_size=(pool_size[0], 1), strides=(strides[0], 1), padding=padding)
    return y.reshape(len(x), -1, *slices.shape[1:]), (of_slices, of_columns, slices.shape)


def pool3d_backward(function, dy, residuals):
    """Returns dx (B, D, H, W, C)."""
    of_slices, of_columns, shape = residuals
    # y = pool(columns)                                     (B, R, 1, P Q C) <- (B, D, 1, P Q C)
    dcolumns = function(_columns(dy), of_columns)
    # columns = pool(slices)                                (B D, P, Q, C) <- (B D, H, W, C)
    dslices = function(dcolumns.reshape(shape), of_slices)
    return dslices.reshape(len(dy), -1, *dslices.shape[1:])


def _columns(x):
    """(B, D, H, W, C) -> (B, D, 1, H W C)."""
    return x.reshape(*x.shape[:2], 1, -1)


def _slices(columns, x):
    """(B, D, 1, H W C), or (B, D, H, W, C), -> (B D, H, W, C), as x has them."""
    return columns.reshape(-1, *x.shape[2:])


def _conv3d(layer, weights, x, *, training, seed):
    options = dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)
    return *conv3d_forward(x, **weights, **options, groups=layer.groups), {}


def _conv3d_back(layer, dz, residuals):
    dx, dkernel, dbias = conv3d_backward(dz, residuals)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


def _pooled(function, layer, weights, x, *, training, seed):
    window = dict(pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding)
    return *pool3d_forward(function, x, **window), {}


def _pooled_back(function, layer, dz, residuals):
    return pool3d_backward(function, dz, residuals), {}


def _whole(function, layer, weights, x, *, training, seed):
    y, residuals = function(_columns(x).reshape(len(x), x.shape[1], -1, x.shape[-1]))
    return y.reshape(len(x), *layer.output_shape(x.shape[1:])), (residuals, x.shape), {}


def _whole_back(function, layer, dz, residuals):
    residuals, shape = residuals
    return function(dz.reshape(len(dz), -1), residuals).reshape(shape), {}


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
