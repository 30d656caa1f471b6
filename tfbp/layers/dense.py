"""Keras's Dense with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written


@keras.saving.register_keras_serializable(package="tfbp")
class Dense(keras.layers.Dense):
    """`keras.layers.Dense` with its gradient written by hand: y = activation(x · kernel + bias).

        dz = f'(z) · dy,   dx = dz · kernelᵀ,   dkernel = xᵀ · dz,   dbias = Σ_b dz

    Arguments, weights, files and behaviour are Keras's. Keras computes sparse input and a
    quantized layer itself, with the gradient. With LoRA the kernel's sum is Keras's, the rest by hand. Outside
    a tf.function dx is computed also where x is data and dx is not used.

    Args:
        units, …: as in `keras.layers.Dense`. An activation that `tfbp.Activation` names, by a string, Keras's function
            or an instance of Keras's layer (Activation, ELU, LeakyReLU, PReLU, ReLU or Softmax), has its derivative
            written by hand. TensorFlow differentiates any other callable, glu, sparsemax, a subclass of these
            layers, and a layer of another dtype than this one or with an activity regularizer; the rest of the layer is
            still by hand.

    Example:
        >>> import numpy as np
        >>> layer = Dense(2, "relu", kernel_initializer="ones")
        >>> layer(np.array([[1.0, 2.0], [-1.0, -2.0]], "float32")).numpy()
        array([[3., 3.],
               [0., 0.]], dtype=float32)

    Reference: https://keras.io/api/layers/core_layers/dense/
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not hand_written.is_handled(inputs):
            return super().call(inputs, training=training)
        # each variable is read here, once
        weights = [tf.convert_to_tensor(w) for w in (self.kernel, self.bias) if w is not None]
        dtype = keras.backend.result_type(inputs.dtype, *(w.dtype for w in weights))
        z = hand_written.dense(*(tf.cast(tensor, dtype) for tensor in (inputs, *weights)))
        return z if self.activation is None else hand_written.activate(self.activation, z)

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        # Keras refuses subclasses, because they may compute something else; this one does not
        super().quantize(mode, type_check=type_check and type(self) is not Dense, config=config)
