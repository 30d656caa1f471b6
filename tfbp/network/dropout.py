"""Dropout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

from tfbp.errors import InputError
from tfbp.network.convolution import Conv2D
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.pooling import MaxPooling2D
from tfbp.network.residual import Residual
from tfbp.network.setting import Setting
from tfbp.network.shapes import Flatten


@dataclass(frozen=True)
class Dropout(Layer):
    """In training each number is 0 with probability `rate`, else divided by 1 - rate; at inference y = x.

    Which, follows from the seed alone, and is the same in all three writings, every dtype and every mode.

    Args:
        rate: a number from 0 to 1.

    Raises:
        InputError: a rate outside.

    Example:
        >>> Dropout(0.2).output_shape((7, 4)), Dropout(0.2).draws
        ((7, 4), 1)

    Reference: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html
    """

    rate: float

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, Real) or not 0 <= float(self.rate) <= 1:
            raise InputError(f"rate: got {self.rate!r}; accepted: a number from 0 to 1.")

    @property
    def draws(self) -> int:
        return 1

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("noise_shape") is not None:
            raise InputError(f"noise_shape: got {given['noise_shape']!r}; accepted: None.")
        return super().from_keras_arguments(given)


_DROPPED = [Dropout(0.3), Dense(5, "tanh"), Residual([Dense(5), Dropout(0.5)]), Dropout(0.2), Dense(3)]
_SMALL = [Conv2D(4, 3, activation="relu"), MaxPooling2D(), Conv2D(6, 3, padding="same", activation="relu")]
CASES = (
    Setting("dropout-B9-I7-O3", (7,), _DROPPED, 9),
    Setting("dropout-inference-B9-I7-O3", (7,), _DROPPED, 9, training=False),
    Setting("cnn-B4-10x10x1", (10, 10, 1), [*_SMALL, MaxPooling2D(), Flatten(), Dropout(0.25), Dense(3)], 4),
)
