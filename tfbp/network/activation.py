"""An activation as a layer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfbp.network.layer import Layer, Shape
from tfbp.vocabulary import Activation


@dataclass(frozen=True)
class ActivationLayer(Layer):
    """Computes y = activation(x), on inputs of any shape; a softmax along the last axis.

    A `tfbp.Activation` among a network's layers becomes this layer.

    Args:
        activation: a Keras name or a `tfbp.Activation`.

    Raises:
        InputError: an unknown activation.

    Example:
        >>> ActivationLayer("tanh").output_shape((7, 4))
        (7, 4)

    Reference: https://keras.io/api/layers/core_layers/activation/
    """

    activation: Activation
    keras_name: ClassVar[str] = "Activation"

    def __init__(self, activation: str | Activation | None) -> None:
        self._settle(activation=activation)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
