"""Zeros around an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

from tfbp.errors import InputError
from tfbp.network.convolution import Conv2D
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting
from tfbp.network.shapes import Flatten


@dataclass(frozen=True)
class ZeroPadding2D(Layer):
    """Zeros around each image.

    Args:
        padding: how many rows and columns: one number for all sides, (rows, columns) for both sides of each, or
            ((top, bottom), (left, right)).

    Raises:
        InputError: something else.

    Example:
        >>> ZeroPadding2D(((0, 1), (2, 3))).output_shape((4, 4, 3))
        (5, 9, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/zero_padding2d/
    """

    padding: Any = (1, 1)

    def __post_init__(self) -> None:
        pairs = (self.padding, self.padding) if isinstance(self.padding, Integral) else tuple(self.padding)
        pairs = tuple((each, each) if isinstance(each, Integral) else tuple(each) for each in pairs)
        flat = [size for each in pairs for size in each]
        wrong = any(isinstance(size, bool) or not isinstance(size, Integral) or size < 0 for size in flat)
        if wrong or [len(each) for each in pairs] != [2, 2]:
            accepted = "an integer, (rows, columns), or ((top, bottom), (left, right))"
            raise InputError(f"padding: got {self.padding!r}; accepted: {accepted}.")
        self._settle(padding=tuple(tuple(map(int, each)) for each in pairs))

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 3:
            self._refuse(input_shape, "images, (height, width, channels)")
        (top, bottom), (left, right) = self.padding
        return (input_shape[0] + top + bottom, input_shape[1] + left + right, input_shape[2])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(map(tuple, config["padding"])))

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("data_format", "channels_last") not in (None, "channels_last"):
            raise InputError(f"data_format: got {given['data_format']!r}; accepted: 'channels_last'.")
        return super().from_keras_arguments(given)


CASES = (
    Setting(
        "zero-padding-B5-4x3x2",
        (4, 3, 2),
        [Conv2D(3, 2, activation="tanh"), ZeroPadding2D(((0, 1), (2, 1))), Conv2D(2, 2), Flatten(), Dense(3)],
        5,
    ),
)
