"""Convolution and pooling of volumes, forward only: tf.GradientTape differentiates.

B batch, D, H and W the depth, height and width of x, I inputs, O outputs, G groups; x (B, D, H, W, I), bias (O,) or
None; kernel (L, M, N, I/G, O).
"""

import math
from functools import partial

import tensorflow as tf


def conv3d_forward(x, kernel, bias=None, *, strides=(1, 1, 1), padding="valid", dilation_rate=(1, 1, 1), groups=1):
    # the gradient of TensorFlow's convolution of volumes fails eagerly without a data_format
    options = dict(padding=padding.upper(), dilations=dilation_rate, data_format="NDHWC")
    # one convolution for each group, as of images
    parts = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    z = [tf.nn.convolution(_wide(i), _wide(k), strides, **options) for i, k in parts]
    z = tf.cast(z[0] if groups == 1 else tf.concat(z, axis=-1), x.dtype)
    return z if bias is None else z + bias


def _wide(a):
    # TensorFlow's kernels of volumes have no 16-bit gradients on the CPU
    return tf.cast(a, tf.float32) if a.dtype.size == 2 else a


def _conv3d(layer, weights, x, *, training, seed):
    options = dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)
    return conv3d_forward(x, **weights, **options, groups=layer.groups), {}


def _pooled(function, layer, weights, x, *, training, seed):
    # TensorFlow pools no volumes in float64 on the CPU: each slice by itself, and then along the depth
    (depth, *sizes), (step, *steps), padding = layer.pool_size, layer.strides, layer.padding.upper()
    slices = function(tf.reshape(x, [-1, *x.shape[2:]]), sizes, steps, padding)
    columns = tf.reshape(slices, [-1, x.shape[1], 1, math.prod(slices.shape[1:])])
    y = function(columns, (depth, 1), (step, 1), padding)
    return tf.reshape(y, [-1, y.shape[1], *slices.shape[1:]]), {}


def _whole(function, layer, weights, x, *, training, seed):
    return function(x, axis=[1, 2, 3], keepdims=layer.keepdims), {}


KINDS = {
    "Conv3D": _conv3d,
    "MaxPooling3D": partial(_pooled, tf.nn.max_pool2d),
    "AveragePooling3D": partial(_pooled, tf.nn.avg_pool2d),
    "GlobalMaxPooling3D": partial(_whole, tf.reduce_max),
    "GlobalAveragePooling3D": partial(_whole, tf.reduce_mean),
}
