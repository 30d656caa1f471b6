"""Keras's pooling of images with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras

from tfbp.layers import hand_written, hand_written_images


@keras.saving.register_keras_serializable(package="tfbp")
class MaxPooling2D(keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D` with its gradient written by hand: it goes to the largest, the first of many.

    Spelled out where XLA compiles for a CPU; anywhere else by TensorFlow's kernels. channels_first is left to Keras.

    Args:
        pool_size, strides, padding, data_format: as in `keras.layers.MaxPooling2D`.

    Example:
        >>> import numpy as np
        >>> MaxPooling2D()(np.array([1.0, 3.0, 2.0, 0.0], "float32").reshape(1, 2, 2, 1)).numpy().ravel()
        array([3.], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/max_pooling2d/
    """

    def call(self, inputs: Any) -> Any:
        return _pooled(self, "max_pool2d", inputs) if takes_window(self, inputs, 4) else super().call(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class AveragePooling2D(keras.layers.AveragePooling2D):
    """`keras.layers.AveragePooling2D` with its gradient written by hand, as `MaxPooling2D`.

    Args:
        pool_size, strides, padding, data_format: as in `keras.layers.AveragePooling2D`.

    Example:
        >>> import numpy as np
        >>> AveragePooling2D(2)(np.array([1, 3, 2, 0], "float32").reshape(1, 2, 2, 1)).numpy().ravel()
        array([1.5], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/average_pooling2d/
    """

    def call(self, inputs: Any) -> Any:
        return _pooled(self, "average_pool2d", inputs) if takes_window(self, inputs, 4) else super().call(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class GlobalAveragePooling2D(keras.layers.GlobalAveragePooling2D):
    """`keras.layers.GlobalAveragePooling2D` with its gradient written by hand: dy / (H W) for each pixel.

    Args:
        data_format, keepdims: as in `keras.layers.GlobalAveragePooling2D`.

    Example:
        >>> import numpy as np
        >>> GlobalAveragePooling2D()(np.array([1.0, 3.0], "float32").reshape(1, 1, 2, 1)).numpy()
        array([[2.]], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/global_average_pooling2d/
    """

    def call(self, inputs: Any) -> Any:
        if not is_pooled_by_hand(self, inputs, 4):
            return super().call(inputs)
        return hand_written_images.global_pool("global_average_pool2d", self.keepdims)(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class GlobalMaxPooling2D(keras.layers.GlobalMaxPooling2D):
    """`keras.layers.GlobalMaxPooling2D` with its gradient written by hand: the largest pixels share dy.

    Args:
        data_format, keepdims: as in `keras.layers.GlobalMaxPooling2D`.

    Example:
        >>> import numpy as np
        >>> GlobalMaxPooling2D()(np.array([1.0, 3.0], "float32").reshape(1, 1, 2, 1)).numpy()
        array([[3.]], dtype=float32)

    Reference: https://keras.io/api/layers/pooling_layers/global_max_pooling2d/
    """

    def call(self, inputs: Any) -> Any:
        if not is_pooled_by_hand(self, inputs, 4):
            return super().call(inputs)
        return hand_written_images.global_pool("global_max_pool2d", self.keepdims)(inputs)


def is_pooled_by_hand(layer: Any, inputs: Any, rank: int) -> bool:
    """Whether inputs of this rank, batch and channels included, are pooled here and not by Keras."""
    return layer.data_format == "channels_last" and hand_written.is_handled(inputs) and inputs.shape.rank == rank


def takes_window(layer: Any, inputs: Any, rank: int) -> bool:
    """The same of a window that moves over them."""
    return is_pooled_by_hand(layer, inputs, rank) and min(layer.strides) > 0 and layer.padding in ("valid", "same")


def _pooled(layer: Any, kind: str, inputs: Any) -> Any:
    return hand_written_images.pool2d(kind, inputs, tuple(layer.pool_size), tuple(layer.strides), layer.padding)
