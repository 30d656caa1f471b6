"""The fully connected layer. I inputs, O outputs (units)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfbp.errors import check_count
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.vocabulary import L1L2, Activation


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: z = x · kernel + bias, y = activation(z), along the last axis of x.

    Args:
        units: the number of outputs O, at least 1.
        activation: a Keras name, a `tfbp.Activation`, or None for linear.
        use_bias: whether the layer has a bias of shape (O,) beside its kernel of shape (I, O).
        kernel_initializer, bias_initializer: a Keras name, or an initializer's Keras config
            `{"class_name": …, "config": {…}}`; a `keras.initializers` object is taken as its config.
        kernel_regularizer, bias_regularizer: "l1", "l2", "l1_l2", a `tfbp.L1L2`, or None.

    Raises:
        InputError: zero or negative units, an unknown activation or regularizer, or an argument of the wrong kind.

    Example:
        >>> Dense(10, activation="relu").activation.name
        'relu'
        >>> Dense(10).output_shape((7, 4))
        (7, 10)

    Reference: https://keras.io/api/layers/core_layers/dense/
    """

    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer = field(hash=False)
    bias_initializer: Initializer = field(hash=False)
    kernel_regularizer: L1L2 | None
    bias_regularizer: L1L2 | None

    def __init__(
        self,
        units: int,
        activation: str | Activation | None = "linear",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: str | L1L2 | None = None,
        bias_regularizer: str | L1L2 | None = None,
    ) -> None:
        check_count("units", units)
        check_flag("use_bias", use_bias)
        self._settle(
            units=units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        bias = {"bias": (self.units,)} if self.use_bias else {}
        return {"kernel": (input_shape[-1], self.units), **bias}
