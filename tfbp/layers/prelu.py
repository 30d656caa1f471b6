"""Keras's PReLU with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written


@keras.saving.register_keras_serializable(package="tfbp")
class PReLU(keras.layers.PReLU):
    """`keras.layers.PReLU` with its gradient written by hand: y = x where x > 0, else alpha · x.

        dx = dy where x > 0, alpha · dy where x < 0, 0 at 0 (as Keras's),   dalpha = Σ_b x · dy where x < 0

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint, shared_axes: as in `keras.layers.PReLU`.

    Example:
        >>> import numpy as np
        >>> PReLU(alpha_initializer="ones")(np.array([[-1.0, 2.0]], "float32")).numpy()
        array([[-1.,  2.]], dtype=float32)

    Reference: https://keras.io/api/layers/activation_layers/prelu/
    """

    def call(self, inputs: Any) -> Any:
        if not hand_written.is_handled(inputs):
            return super().call(inputs)
        alpha = tf.convert_to_tensor(self.alpha)  # read here, once
        dtype = keras.backend.result_type(inputs.dtype, alpha.dtype)
        return hand_written.prelu(tf.cast(inputs, dtype), tf.cast(alpha, dtype))
