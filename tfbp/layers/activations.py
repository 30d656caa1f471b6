"""Keras's activation layers with derivatives written by hand. Arguments, files and behaviour are Keras's."""

from __future__ import annotations

from typing import Any

import keras

from tfbp.bridge.activations import activation_of
from tfbp.layers import hand_written


@keras.saving.register_keras_serializable(package="tfbp")
class Activation(keras.layers.Activation):
    """`keras.layers.Activation` with its derivative written by hand.

    Args:
        activation: a name, a Keras function, a Keras layer or any callable. It is differentiated by hand where it would
            be as the activation of `Dense`, and by TensorFlow anywhere else.

    Example:
        >>> import numpy as np
        >>> Activation("relu")(np.array([-1.0, 2.0], "float32")).numpy()
        array([0., 2.], dtype=float32)

    Reference: https://keras.io/api/layers/core_layers/activation/
    """

    def call(self, inputs: Any) -> Any:
        return hand_written.activate(self.activation, inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class ReLU(keras.layers.ReLU):
    """`keras.layers.ReLU` with its derivative written by hand.

        y = min(x, max_value) where x > threshold, else negative_slope · (x - threshold)

    At a kink it has Keras's derivative: 0 at the threshold (but negative_slope where that is the only argument), 1 at
    max_value (but 0 for a plain max_value of 6).

    Args:
        max_value, negative_slope, threshold: as in `keras.layers.ReLU`.

    Example:
        >>> import numpy as np
        >>> ReLU(max_value=1.0, threshold=0.5)(np.array([0.5, 0.75, 2.0], "float32")).numpy()
        array([0.  , 0.75, 1.  ], dtype=float32)

    Reference: https://keras.io/api/layers/activation_layers/relu/
    """

    def call(self, inputs: Any) -> Any:
        return _by_hand(self, inputs) if hand_written.is_handled(inputs) else super().call(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class LeakyReLU(keras.layers.LeakyReLU):
    """`keras.layers.LeakyReLU` with its derivative written by hand: y = x where x > 0, else negative_slope · x.

    Its derivative at 0 is negative_slope, as Keras's. In float64 the slope keeps all its digits; Keras's has float32's.

    Args:
        negative_slope: as in `keras.layers.LeakyReLU`.

    Example:
        >>> import numpy as np
        >>> LeakyReLU(0.5)(np.array([-1.0, 2.0], "float32")).numpy()
        array([-0.5,  2. ], dtype=float32)

    Reference: https://keras.io/api/layers/activation_layers/leaky_relu/
    """

    def call(self, inputs: Any) -> Any:
        return _by_hand(self, inputs) if hand_written.is_handled(inputs) else super().call(inputs)


@keras.saving.register_keras_serializable(package="tfbp")
class ELU(keras.layers.ELU):
    """`keras.layers.ELU` with its derivative written by hand: y = x where x > 0, else alpha · (exp(x) - 1).

    Its derivative at 0 is alpha, as Keras's.

    Args:
        alpha: as in `keras.layers.ELU`.

    Example:
        >>> import numpy as np
        >>> ELU()(np.array([-1e9, 2.0], "float32")).numpy()
        array([-1.,  2.], dtype=float32)

    Reference: https://keras.io/api/layers/activation_layers/elu/
    """

    def call(self, inputs: Any) -> Any:
        return _by_hand(self, inputs) if hand_written.is_handled(inputs) else super().call(inputs)


def _by_hand(layer: keras.layers.Layer, x: Any) -> Any:
    choice = activation_of(layer)
    assert choice is not None, layer
    return hand_written.activation(choice)(x)
