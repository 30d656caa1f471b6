"""The position of a token: a learned row added to it, or a rotation of its features. T steps of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tfbp.errors import check_count, check_positive
from tfbp.network.dense import Dense
from tfbp.network.embedding import Embedding
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting
from tfbp.network.tokens import Tokens


@dataclass(frozen=True)
class PositionEmbedding(Layer):
    """Adds a learned row for each position to a sequence: y[t] = x[t] + embeddings[t].

    Its Keras layer is `tfbp.layers.PositionEmbedding`; keras-hub's layer of this name returns the rows alone.

    Args:
        sequence_length: the number of positions with a row, at least the sequence's T.
        initializer: the rows' first values: a Keras initializer, its name or its config.

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> PositionEmbedding(64).output_shape((20, 16)), PositionEmbedding(64).weight_shapes((20, 16))
        ((20, 16), {'embeddings': (64, 16)})

    Reference: https://keras.io/keras_hub/api/modeling_layers/position_embedding/
    """

    sequence_length: int
    embeddings_initializer: Any = field(hash=False)

    def __init__(self, sequence_length: int, initializer: Any = "glorot_uniform") -> None:
        check_count("sequence_length", sequence_length)
        self._settle(sequence_length=sequence_length, embeddings_initializer=initializer)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2 or input_shape[0] > self.sequence_length:
            self._refuse(input_shape, f"sequences, (steps, features), of at most {self.sequence_length} steps")
        return input_shape

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"embeddings": (self.sequence_length, input_shape[-1])}

    def without_penalties(self) -> Self:
        return self

    def arguments(self) -> dict[str, Any]:
        initializer: Initializer = self.embeddings_initializer
        return {"sequence_length": self.sequence_length, "initializer": initializer}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        return cls(given["sequence_length"], given["initializer"])


@dataclass(frozen=True)
class RotaryEmbedding(Layer):
    """Rotates each pair of features of step t by t times the pair's angle: products then depend on the distance.

        y[t, i]       = cos(t a_i) x[t, i]       - sin(t a_i) x[t, i + I/2]     for i of the first half of I features
        y[t, i + I/2] = cos(t a_i) x[t, i + I/2] + sin(t a_i) x[t, i]
        a_i           = max_wavelength^(-2 i/I) / scaling_factor

    Args:
        max_wavelength: above 0; the slowest pair needs nearly 2π times as many steps for a full turn.
        scaling_factor: above 0; positions are divided by it.

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> RotaryEmbedding().output_shape((20, 16))
        (20, 16)

    Reference: Su et al., RoFormer (2021), https://arxiv.org/abs/2104.09864
    """

    max_wavelength: float = 10000
    scaling_factor: float = 1.0

    def __post_init__(self) -> None:
        for name, value in self.arguments().items():
            check_positive(name, value)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2 or input_shape[-1] % 2:
            self._refuse(input_shape, "sequences, (steps, features), of an even number of features")
        return input_shape


_PLACED = [Embedding(7, 6), PositionEmbedding(9), Dense(6, "tanh"), RotaryEmbedding(50, 0.5), Dense(7)]
CASES = (Setting("positions-B5-T6-V7", Tokens(6, 7), _PLACED, 5),)
