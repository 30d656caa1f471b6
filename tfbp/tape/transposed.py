"""Transposed convolutions, forward only: tf.GradientTape differentiates.

B batch, I inputs, O outputs; x (B, …, I), kernel (…, O, I), bias (O,) or None, z (B, …, O).
"""

import tensorflow as tf


def forward(layer, weights, x, *, training, seed):
    sizes = [tf.shape(x)[0], *layer.output_shape(tuple(x.shape[1:]))]
    # on some CPUs the gradient of TensorFlow's convolution sums float16 in float16
    x_wide, kernel = (tf.cast(a, tf.float32) if a.dtype == tf.float16 else a for a in (x, weights["kernel"]))
    transposed = tf.nn.conv1d_transpose if layer.axes == 1 else tf.nn.conv2d_transpose
    z = tf.cast(transposed(x_wide, kernel, sizes, layer.strides, layer.padding.upper()), x.dtype)
    return z if "bias" not in weights else tf.nn.bias_add(z, weights["bias"]), {}


KINDS = {"Conv1DTranspose": forward, "Conv2DTranspose": forward}
