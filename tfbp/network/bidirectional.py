"""A recurrence in both directions: one from the first step to the last, one from the last to the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_choice
from tfbp.network.chain import weight_shapes_of
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape, layer_from_config
from tfbp.network.recurrent import GRU, LSTM, SimpleRNN
from tfbp.network.setting import PENALTY, Setting


@dataclass(frozen=True)
class Bidirectional(Layer):
    """Two recurrent layers of one kind, one forward and one backward in time, and their outputs merged.

    Its weights nest: `{"forward_layer": [{...}], "backward_layer": [{...}]}`. Returned sequences of the second layer
    are reversed again, so that both outputs belong to the same step.

    Args:
        layer: a `SimpleRNN`, `LSTM` or `GRU`; the second layer has the same arguments and its own weights. Where it
            takes a mask, this layer takes one, too.
        merge_mode: "concat", "sum", "mul" or "ave".

    Raises:
        InputError: another layer, or one that goes backwards; an unknown mode.

    Example:
        >>> Bidirectional(LSTM(8)).output_shape((20, 3)), Bidirectional(LSTM(8), "sum").output_shape((20, 3))
        ((16,), (8,))

    Reference: https://keras.io/api/layers/recurrent_layers/bidirectional/
    """

    modes: ClassVar[tuple[str, ...]] = ("concat", "sum", "mul", "ave")

    layer: Any
    merge_mode: str = "concat"

    def __post_init__(self) -> None:
        given = self.layer
        is_recurrent = isinstance(given, SimpleRNN | LSTM | GRU)
        if not is_recurrent or given.go_backwards or given.return_state or "initial_state" in given.takes:
            accepted = "a tfbp.SimpleRNN, LSTM or GRU with go_backwards=False, without states"
            raise InputError(f"layer: got {self.layer!r}; accepted: {accepted}.")
        check_choice("merge_mode", self.merge_mode, self.modes)
        # as Keras's layer sets it of its two
        shows_zeros = bool(self.layer.takes) and self.layer.return_sequences
        object.__setattr__(self, "layer", replace(self.layer, zero_output_for_mask=shows_zeros))

    @property
    def takes_several(self) -> bool:  # type: ignore[override]
        return self.layer.takes_several

    @property
    def is_called_plainly(self) -> bool:
        return self.layer.is_called_plainly

    @property
    def draws(self) -> int:
        return 2 * self.layer.draws

    def output_shape(self, input_shape: Shape) -> Shape:
        *steps, units = self.layer.output_shape(input_shape)
        return (*steps, 2 * units if self.merge_mode == "concat" else units)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Any]:
        return {name: weight_shapes_of(part, input_shape) for name, part in self.parts.items()}

    @property
    def parts(self) -> dict[str, tuple[Layer, ...]]:
        back: Any = replace(self.layer, go_backwards=True)
        return {"forward_layer": (self.layer,), "backward_layer": (back,)}

    def without_penalties(self) -> Self:
        return replace(self, layer=self.layer.without_penalties())

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(layer_from_config(config["layer"]), config["merge_mode"])

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        if not self.layer.takes:
            return keras_layer(x)
        from keras import ops

        # a copy, because Keras hands the mask on with a layer's output
        return ops.copy(keras_layer(x[0], mask=ops.cast(x[1], "bool")))

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        made = cls(given["layer"], given["merge_mode"])
        ours, theirs = (each.arguments() for each in (made.parts["backward_layer"][0], given["backward_layer"]))
        for name, value in ours.items():
            # Keras sets zero_output_for_mask itself, and without a mask it changes nothing
            if name.endswith("_initializer") or name == "zero_output_for_mask":
                continue
            if theirs.get(name) != value:
                raise InputError(f"backward_layer: got {name}={theirs.get(name)!r}; accepted: {value!r}, as forward.")
        return made


_PRODUCT = Bidirectional(SimpleRNN(4, return_sequences=True, recurrent_regularizer=PENALTY), "mul")
_DROPPED = Bidirectional(LSTM(2, dropout=0.25, recurrent_dropout=0.5), "sum")
CASES = (
    Setting("bidirectional-B5-3x3", (3, 3), [_PRODUCT, Dense(3)], 5),
    Setting("bidirectional-recurrent-dropout-B5-3x3", (3, 3), [_DROPPED, Dense(3)], 5),
)
