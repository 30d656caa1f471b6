"""Keras's convolutions with a backward written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written, hand_written_images


@keras.saving.register_keras_serializable(package="tfbp")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with its gradient written by hand.

    Where XLA compiles for a CPU, convolution and gradients are products over patches; anywhere else TensorFlow's own
    kernels are called, which are faster there. Keras itself computes channels_first, input that
    is not an image of floats, and a subclass with a `convolution_op` of its own. The activation's derivative is by hand
    where that of `Dense` is.

    Args:
        filters, kernel_size, …: as in `keras.layers.Conv2D`.

    Example:
        >>> import numpy as np
        >>> layer = Conv2D(1, 2, kernel_initializer="ones")
        >>> layer(np.ones((1, 2, 3, 1), "float32"))[0, :, :, 0].numpy()
        array([[4., 4.]], dtype=float32)

    Reference: https://keras.io/api/layers/convolution_layers/convolution2d/
    """

    def call(self, inputs: Any) -> Any:
        if type(self).convolution_op is not keras.layers.Conv2D.convolution_op:
            return super().call(inputs)
        z = convolved(self, hand_written_images.conv2d, inputs)
        return super().call(inputs) if z is None else activated(self, z)


@keras.saving.register_keras_serializable(package="tfbp")
class Conv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` with its gradient written by hand, as `Conv2D`: of volumes, by the images at each depth.

    Args:
        filters, kernel_size, …: as in `keras.layers.Conv3D`.

    Example:
        >>> import numpy as np
        >>> layer = Conv3D(1, 2, kernel_initializer="ones")
        >>> layer(np.ones((1, 2, 2, 3, 1), "float32"))[0, 0, 0, :, 0].numpy()
        array([8., 8.], dtype=float32)

    Reference: https://keras.io/api/layers/convolution_layers/convolution3d/
    """

    def call(self, inputs: Any) -> Any:
        if type(self).convolution_op is not keras.layers.Conv3D.convolution_op:
            return super().call(inputs)
        z = convolved(self, hand_written_images.conv3d, inputs)
        return super().call(inputs) if z is None else activated(self, z)


@keras.saving.register_keras_serializable(package="tfbp")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with its gradient written by hand, as `Conv2D`.

    Args:
        kernel_size, strides, …: as in `keras.layers.DepthwiseConv2D`.

    Example:
        >>> import numpy as np
        >>> layer = DepthwiseConv2D(2, depthwise_initializer="ones")
        >>> layer(np.ones((1, 2, 2, 3), "float32"))[0, 0].numpy()
        array([[4., 4., 4.]], dtype=float32)

    Reference: https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/
    """

    def call(self, inputs: Any) -> Any:
        z = convolved(self, hand_written_images.depthwise_conv2d, inputs)
        return super().call(inputs) if z is None else activated(self, z)


def convolved(layer: Any, convolve: Callable[..., tf.Tensor], inputs: Any) -> tf.Tensor | None:
    """z, or None where it is left to Keras."""
    if layer.data_format != "channels_last" or not hand_written.is_handled(inputs):
        return None
    if inputs.shape.rank != len(layer.kernel_size) + 2 or inputs.shape[-1] is None:
        return None
    # each variable is read here, once
    weights = [tf.convert_to_tensor(w) for w in (layer.kernel, layer.bias) if w is not None]
    dtype = keras.backend.result_type(inputs.dtype, *(w.dtype for w in weights))
    x, kernel, *bias = (tf.cast(tensor, dtype) for tensor in (inputs, *weights))
    return convolve(x, kernel, bias[0] if bias else None, layer.strides, layer.padding, layer.dilation_rate)


def activated(layer: Any, z: tf.Tensor) -> tf.Tensor:
    return z if layer.activation is None else hand_written.activate(layer.activation, z)
