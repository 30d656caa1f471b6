"""A layer of one weight for each channel, with a backward written by hand; Keras has it in its models alone."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import custom_gradient
from tfbp.manual.scaling import layer_scale_backward, layer_scale_forward


@keras.saving.register_keras_serializable(package="tfbp")
class LayerScale(keras.layers.Layer):
    """y = gamma · x, gamma one weight for each channel, the last axis, with its gradient written by hand.

        dx = gamma · dy,   dgamma = Σ x · dy over all axes but the last

    Args:
        gamma_initializer, gamma_regularizer: of gamma.

    Example:
        >>> import numpy as np
        >>> LayerScale("ones")(np.array([[-1.0, 2.0]], "float32")).numpy()
        array([[-1.,  2.]], dtype=float32)

    Reference: Touvron et al. (2021), https://arxiv.org/abs/2103.17239
    """

    def __init__(self, gamma_initializer: Any = "ones", gamma_regularizer: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)

    def build(self, input_shape: Any) -> None:
        options = {"initializer": self.gamma_initializer, "regularizer": self.gamma_regularizer}
        self.gamma = self.add_weight(shape=input_shape[-1:], name="gamma", **options)

    def call(self, inputs: Any) -> Any:
        return _layer_scale(inputs, tf.convert_to_tensor(self.gamma))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        given = {
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
        }
        return {**super().get_config(), **given}


@custom_gradient
def _layer_scale(x: tf.Tensor, gamma: tf.Tensor) -> Any:
    y, residuals = layer_scale_forward(x, tf.cast(gamma, x.dtype))
    return y, lambda dy: list(layer_scale_backward(dy, residuals))
