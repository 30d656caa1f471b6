"""Keras's convolutions and pooling of sequences with a backward written by hand: that of images of one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written_images
from tfbp.layers.convolution import activated, convolved
from tfbp.layers.pooling import is_pooled_by_hand, takes_window


@keras.saving.register_keras_serializable(package="tfbp")
class Conv1D(keras.layers.Conv1D):
    """`keras.layers.Conv1D` with its gradient written by hand, as `Conv2D`.

    Args:
        filters, kernel_size, …: as in `keras.layers.Conv1D`.

    Example:
        >>> import numpy as np
        >>> layer = Conv1D(1, 2, padding="causal", kernel_initializer="ones")
        >>> layer(np.ones((1, 3, 1), "float32")).numpy().ravel()
        array([1., 2., 2.], dtype=float32)

    Reference: https://keras.io/api/layers/convolution_layers/convolution1d/
    """

    def call(self, inputs: Any) -> Any:
        z = convolved(self, _by_images(hand_written_images.conv2d), inputs)
        return super().call(inputs) if z is None else activated(self, z)


@keras.saving.register_keras_serializable(package="tfbp")
class DepthwiseConv1D(keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` with its gradient written by hand, as `Conv2D`.

    Args:
        kernel_size, strides, …: as in `keras.layers.DepthwiseConv1D`.

    Example:
        >>> import numpy as np
        >>> layer = DepthwiseConv1D(2, depthwise_initializer="ones")
        >>> layer(np.ones((1, 2, 3), "float32"))[0, 0].numpy()
        array([2., 2., 2.], dtype=float32)

    Reference: https://keras.io/api/layers/convolution_layers/depthwise_convolution1d/
    """

    def call(self, inputs: Any) -> Any:
        z = convolved(self, _by_images(hand_written_images.depthwise_conv2d), inputs)
        return super().call(inputs) if z is None else activated(self, z)


@keras.saving.register_keras_serializable(package="tfbp")
class MaxPooling1D(keras.layers.MaxPooling1D):
    """`keras.layers.MaxPooling1D` with its gradient written by hand, as `MaxPooling2D`.

    Args:
        pool_size, strides, padding, data_format: as in `keras.layers.MaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> MaxPooling1D()(np.array([1, 3, 2, 0], "float32").reshape(1, 4, 1)).numpy().ravel()
        array([3., 2.], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/max_pooling1d/
    """

    def call(self, inputs: Any) -> Any:
        return _pooled(self, "max_pool2d", inputs) if takes_window(self, inputs, 3) else super().call(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class AveragePooling1D(keras.layers.AveragePooling1D):
    """`keras.layers.AveragePooling1D` with its gradient written by hand, as `AveragePooling2D`.

    Args:
        pool_size, strides, padding, data_format: as in `keras.layers.AveragePooling1D`.

    Example:
        >>> import numpy as np
        >>> AveragePooling1D(2)(np.array([1, 3, 2, 0], "float32").reshape(1, 4, 1)).numpy().ravel()
        array([2., 1.], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/average_pooling1d/
    """

    def call(self, inputs: Any) -> Any:
        return _pooled(self, "average_pool2d", inputs) if takes_window(self, inputs, 3) else super().call(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class GlobalAveragePooling1D(keras.layers.GlobalAveragePooling1D):
    """`keras.layers.GlobalAveragePooling1D` with its gradient written by hand: dy / T for each step of T.

    With a mask Keras itself computes the mean.

    Args:
        data_format, keepdims: as in `keras.layers.GlobalAveragePooling1D`.

    Example:
        >>> import numpy as np
        >>> GlobalAveragePooling1D()(np.array([1, 3], "float32").reshape(1, 2, 1)).numpy()
        array([[2.]], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/global_average_pooling1d/
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None or not is_pooled_by_hand(self, inputs, 3):
            return super().call(inputs, mask=mask)
        return hand_written_images.global_pool("global_average_pool1d", self.keepdims)(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class GlobalMaxPooling1D(keras.layers.GlobalMaxPooling1D):
    """`keras.layers.GlobalMaxPooling1D` with its gradient written by hand: the largest steps share dy.

    Args:
        data_format, keepdims: as in `keras.layers.GlobalMaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> GlobalMaxPooling1D()(np.array([1, 3], "float32").reshape(1, 2, 1)).numpy()
        array([[3.]], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/global_max_pooling1d/
    """

    def call(self, inputs: Any) -> Any:
        if not is_pooled_by_hand(self, inputs, 3):
            return super().call(inputs)
        return hand_written_images.global_pool("global_max_pool1d", self.keepdims)(inputs)


def _by_images(convolve: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """The convolution of x (B, T, I) by a kernel (M, …), as that of images (B, 1, T, I) by one (1, M, …)."""

    def convolve_sequences(x: Any, kernel: Any, bias: Any, strides: Any, padding: str, dilation_rate: Any) -> tf.Tensor:
        (stride,), (rate,) = strides, dilation_rate
        if padding == "causal":
            x, padding = tf.pad(x, [[0, 0], [rate * (kernel.shape[0] - 1), 0], [0, 0]]), "valid"
        x, kernel = tf.expand_dims(x, 1), tf.expand_dims(kernel, 0)
        return tf.squeeze(convolve(x, kernel, bias, (stride, stride), padding, (rate, rate)), [1])

    return convolve_sequences


def _pooled(layer: Any, kind: str, inputs: Any) -> Any:
    window = (1, *layer.pool_size), (1, *layer.strides)
    return tf.squeeze(hand_written_images.pool2d(kind, tf.expand_dims(inputs, 1), *window, layer.padding), [1])
