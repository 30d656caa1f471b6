"""Recurrent layers: a state h passes through the steps of a sequence. T steps, I inputs of each, H units.

Keras's orders: the gates of an LSTM's kernels are i, f, g, o (g is Keras's candidate c); those of a GRU are z, r, h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_count
from tfbp.network.beside import TakesBeside
from tfbp.network.dense import Dense
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.vocabulary import L1L2, Activation

_FLAGS = (
    *("use_bias", "unit_forget_bias", "return_sequences", "go_backwards", "reset_after", "return_state"),
    "zero_output_for_mask",
)
# Keras's arguments that no kind here can express, and the value that each must have
_LEFT_OUT = {"stateful": False, "unroll": False, "recurrent_constraint": None}


class _Recurrent(TakesBeside):
    """The common part of all three; not a kind."""

    keras_name: ClassVar[str] = "_Recurrent"
    accepted: ClassVar[tuple[str, ...]] = ("mask", "initial_state")
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    units: int
    use_bias: bool
    return_sequences: bool
    return_state: bool
    dropout: float
    recurrent_dropout: float

    def __post_init__(self) -> None:
        check_count("units", self.units)
        for name in _FLAGS:
            if name in self.arguments():
                check_flag(name, getattr(self, name))
        # at a rate of 1 Keras's cells drop nothing
        for name, rate in (("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)):
            if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
                raise InputError(f"{name}: got {rate!r}; accepted: a number from 0 to below 1.")
        self._check_takes()
        self._settle(**self.arguments())

    def tensors_of(self, name: str) -> int:
        return self.states if name == "initial_state" else 1

    @property
    def draws(self) -> int:
        return int(self.dropout > 0) + int(self.recurrent_dropout > 0)

    @property
    def drops_by_gate(self) -> bool:
        """Whether x has a mask for each gate, as h has; else one for all."""
        return self.gates > 1 and self.recurrent_dropout > 0

    @property
    def applied_activation(self) -> Activation:
        """Linear: the layer's own activation is part of each step."""
        return Activation("linear")

    def output_shape(self, input_shape: Any) -> Shape:
        shape, beside = self._shapes_apart(input_shape)
        if len(shape) != 2:
            self._refuse(shape, "sequences, (steps, inputs)")
        if beside.get("mask", shape[:1]) != shape[:1]:
            self._refuse(beside["mask"], f"a mask {shape[:1]} for sequences {shape}")
        if any(state != (self.units,) for state in beside.get("initial_state", ())):
            self._refuse(beside["initial_state"], f"initial_state of {self.states} tensors {(self.units,)}")
        if self.return_state:
            return (shape[0] if self.return_sequences else 1) + self.states, self.units
        return (shape[0], self.units) if self.return_sequences else (self.units,)

    def weight_shapes(self, input_shape: Any) -> dict[str, Shape]:
        shape, _ = self._shapes_apart(input_shape)
        columns = self.gates * self.units
        shapes: dict[str, Shape] = {"kernel": (shape[-1], columns), "recurrent_kernel": (self.units, columns)}
        return {**shapes, "bias": self._bias_shape(columns)} if self.use_bias else shapes

    def _bias_shape(self, columns: int) -> Shape:
        return (columns,)

    def initializer(self, weight: str) -> Initializer:
        return super().initializer(weight.removesuffix("_kernel"))

    def regularizer(self, weight: str) -> L1L2 | None:
        return super().regularizer(weight.removesuffix("_kernel"))

    def keras_arguments(self) -> dict[str, Any]:
        unset = {"return_state": False, "zero_output_for_mask": False, "dropout": 0, "recurrent_dropout": 0}
        given = super().keras_arguments().items()
        return {name: value for name, value in given if name not in unset or value != unset[name]}

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        first, beside = self.apart(x)
        if "mask" in beside:
            beside["mask"] = ops.cast(beside["mask"], "bool")
        y = keras_layer(first, **{name: list(v) if isinstance(v, tuple) else v for name, v in beside.items()})
        if self.return_state:
            y, *states = y
            rows = [y if self.return_sequences else ops.expand_dims(y, 1), *(ops.expand_dims(s, 1) for s in states)]
            y = ops.concatenate(rows, axis=1)
        # a copy, because Keras hands a mask on with a layer's output
        return ops.copy(y) if "mask" in beside else y

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        for name, accepted in _LEFT_OUT.items():
            if given.get(name, accepted) != accepted:
                raise InputError(f"{name}: got {given[name]!r}; accepted: {accepted}.")
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class SimpleRNN(_Recurrent, Layer):
    """The plain recurrent layer: h[t] = activation(x[t] · kernel + h[t - 1] · recurrent_kernel + bias).

    Args:
        units: the size H of the state h; before the first step h is 0.
        activation: a Keras name, a `tfbp.Activation`, or None for linear.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: as in `Dense`; the second is recurrent_kernel's.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in `Dense`.
        return_sequences: whether y is the h of every step, (T, H), in the order of the steps; else it is the last h.
        go_backwards: whether the steps go from the sequence's end to its start.
        return_state: whether the last state follows y, as a last step of it; y is (2, H) or (T + 1, H) then.
        zero_output_for_mask: whether y is 0 at a step that a mask leaves out; else it is the y before.
        dropout: the rate of `Dropout` on x, one mask for all steps.
        recurrent_dropout: that of `Dropout` on h, as it enters the product with recurrent_kernel: one mask for all
            steps, which is drawn after that of x.
        takes: what else a call takes, of "mask", (T,), 0 where a step is left out, and "initial_state", (H,).

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> layer = SimpleRNN(8)
        >>> layer.output_shape((20, 3)), layer.weight_shapes((20, 3))
        ((8,), {'kernel': (3, 8), 'recurrent_kernel': (8, 8), 'bias': (8,)})

    Reference: https://keras.io/api/layers/recurrent_layers/simple_rnn/
    """

    units: int
    activation: Any = "tanh"
    use_bias: bool = True
    kernel_initializer: Any = field(default="glorot_uniform", hash=False)
    recurrent_initializer: Any = field(default="orthogonal", hash=False)
    bias_initializer: Any = field(default="zeros", hash=False)
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    return_sequences: bool = False
    go_backwards: bool = False
    return_state: bool = False
    zero_output_for_mask: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    takes: Any = ()


@dataclass(frozen=True)
class LSTM(_Recurrent, Layer):
    """Long short-term memory: a cell c beside the state h, with gates that write, keep and read it.

        i, f, o = recurrent_activation(x[t] · kernel + h[t - 1] · recurrent_kernel + bias), each with its own columns
        g = activation(x[t] · kernel + h[t - 1] · recurrent_kernel + bias), with its own columns
        c[t] = f · c[t - 1] + i · g,   h[t] = o · activation(c[t])

    Args:
        units: the size H of h and c; before the first step both are 0. They are two states: h, then c.
        activation, recurrent_activation: as in `SimpleRNN`; the second is for the gates.
        unit_forget_bias: whether the bias of f starts at 1.
        use_bias, kernel_initializer, …, takes: as in `SimpleRNN`.
        recurrent_dropout: as there, with a mask for each gate; x has one for each gate, too, then.

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> LSTM(8, return_sequences=True).output_shape((20, 3)), LSTM(8).weight_shapes((20, 3))["kernel"]
        ((20, 8), (3, 32))

    Reference: https://keras.io/api/layers/recurrent_layers/lstm/
    """

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2

    units: int
    activation: Any = "tanh"
    recurrent_activation: Any = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Any = field(default="glorot_uniform", hash=False)
    recurrent_initializer: Any = field(default="orthogonal", hash=False)
    bias_initializer: Any = field(default="zeros", hash=False)
    unit_forget_bias: bool = True
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    return_sequences: bool = False
    go_backwards: bool = False
    return_state: bool = False
    zero_output_for_mask: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    takes: Any = ()

    def started(self, weight: str, drawn: Any) -> Any:
        if weight == "bias" and self.unit_forget_bias:
            drawn = drawn.copy()
            drawn[self.units : 2 * self.units] = 1
        return drawn


@dataclass(frozen=True)
class GRU(_Recurrent, Layer):
    """The gated recurrent unit: z keeps the state, r resets the part of it that enters the candidate.

        z, r = recurrent_activation(x[t] · kernel + bias + h[t - 1] · recurrent_kernel), each with its own columns
        h[t] = z · h[t - 1] + (1 - z) · activation(x[t] · kernel + bias + reset), with its own columns
        reset = r · (h[t - 1] · recurrent_kernel + recurrent bias), or (r · h[t - 1]) · recurrent_kernel

    Args:
        units: the size H of h; before the first step h is 0.
        activation, recurrent_activation: as in `SimpleRNN`; the second is for the gates.
        use_bias, kernel_initializer, …, takes: as in `SimpleRNN`.
        recurrent_dropout: as in `LSTM`.
        reset_after: the order of the reset; with True the bias has a second row, for the recurrent product.

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> GRU(8).weight_shapes((20, 3))["bias"], GRU(8, reset_after=False).weight_shapes((20, 3))["bias"]
        ((2, 24), (24,))

    Reference: https://keras.io/api/layers/recurrent_layers/gru/
    """

    gates: ClassVar[int] = 3

    units: int
    activation: Any = "tanh"
    recurrent_activation: Any = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Any = field(default="glorot_uniform", hash=False)
    recurrent_initializer: Any = field(default="orthogonal", hash=False)
    bias_initializer: Any = field(default="zeros", hash=False)
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    return_sequences: bool = False
    go_backwards: bool = False
    reset_after: bool = True
    return_state: bool = False
    zero_output_for_mask: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    takes: Any = ()

    def _bias_shape(self, columns: int) -> Shape:
        return (2, columns) if self.reset_after else (columns,)


_BACKWARDS: dict[str, Any] = {"use_bias": False, "return_sequences": True, "go_backwards": True}
_HEAD = [Flatten(), Dense(3)]
_DROPPED: dict[str, Any] = {"recurrent_dropout": 0.25, "return_sequences": True}
# each kind with its defaults, and with every argument changed
CASES = (
    Setting("simple-rnn-B5-6x3", (6, 3), [SimpleRNN(4, recurrent_regularizer=PENALTY), Dense(3)], 5),
    Setting("simple-rnn-backwards-B5-5x3", (5, 3), [SimpleRNN(4, "softsign", **_BACKWARDS), *_HEAD], 5),
    Setting("lstm-B5-6x3", (6, 3), [LSTM(4, bias_regularizer=PENALTY), Dense(3)], 5),
    Setting("lstm-backwards-B5-5x3", (5, 3), [LSTM(4, "silu", "softplus", **_BACKWARDS), *_HEAD], 5),
    Setting("gru-B5-6x3", (6, 3), [GRU(4, kernel_regularizer=PENALTY), Dense(3)], 5),
    Setting(
        "gru-before-backwards-B5-5x3",
        (5, 3),
        [GRU(4, "silu", "hard_sigmoid", **_BACKWARDS, reset_after=False), *_HEAD],
        5,
    ),
    Setting(
        "recurrent-dropout-B5-4x3",
        (4, 3),
        [
            SimpleRNN(4, dropout=0.25, **_DROPPED),
            LSTM(3, **_DROPPED),
            GRU(3, dropout=0.5, recurrent_dropout=0.25),
            Dense(3),
        ],
        5,
    ),
    Setting(
        "recurrent-dropout-backwards-B5-4x3",
        (4, 3),
        [
            LSTM(3, dropout=0.25, **_DROPPED, use_bias=False, go_backwards=True),
            GRU(3, reset_after=False, **_DROPPED),
            *_HEAD,
        ],
        5,
    ),
)
