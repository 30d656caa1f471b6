"""The fully connected layer. I inputs, O outputs (units)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfbp.errors import check_count
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.setting import PENALTY, Setting
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


_PENALISED = [
    Dense(6, "tanh", kernel_regularizer=PENALTY, bias_regularizer=PENALTY),
    Dense(4),
]
_OF_TOKENS = [Dense(5, "tanh", kernel_regularizer=PENALTY), Dense(4)]
CASES = (
    Setting("dense-B33-I64-O10", 64, [Dense(10)], 33),
    # square kernels and batches: a dx that is not transposed has the right shape, and so has a wrongly summed bias
    Setting("square-B5-I5-O5", 5, [Dense(5, "tanh"), Dense(5)], 5),
    Setting("wide-B64-I300-O10", 300, [Dense(200, "relu"), Dense(10)], 64),
    # sums over more than 1,024 rows and 512 inputs; penalties of many weights
    Setting("long-B1100-I520-O6", 520, [Dense(6, "tanh", kernel_regularizer=PENALTY), Dense(3)], 1100),
    Setting("deep5-B20-I12-O5", 12, [*(Dense(16 - i, "tanh") for i in range(4)), Dense(5)], 20),
    Setting("no-bias-B8-I5-O3", 5, [Dense(4, "sigmoid", use_bias=False), Dense(3, use_bias=False)], 8),
    Setting("regularized-B8-I5-O4", 5, _PENALISED, 8),
    Setting("one-sample-B1-I5-O3", 5, [Dense(4, "silu"), Dense(3)], 1),
    Setting("one-unit-B6-I1-O1", 1, [Dense(1, "tanh"), Dense(1)], 6, "mean_squared_error"),
    # tokens with their own losses, weighted by token and by example
    Setting("tokens-sparse-B5-6x3", (6, 3), _OF_TOKENS, 5),
    Setting(
        "tokens-categorical-B5-2x3x3",
        (2, 3, 3),
        [*_OF_TOKENS, Activation("softmax")],
        5,
        "categorical_crossentropy",
        any_targets=True,
        weighs_examples=True,
    ),
)
