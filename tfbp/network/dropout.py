"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

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
    """Sets each number to 0 with probability `rate`, else divides it by 1 - rate. At inference y = x.

    The seed alone decides which numbers become 0: the same in all three writings, every dtype and every mode.

    Args:
        rate: a number from 0 to 1.
        noise_shape: the shape of the random numbers, with the batch's axis: 1 along an axis that shares one number,
            None for the inputs' size. By default each number is drawn by itself.

    Raises:
        InputError: a rate outside, or a noise_shape that does not fit the inputs.

    Example:
        >>> Dropout(0.2).output_shape((7, 4)), Dropout(0.2).draws
        ((7, 4), 1)

    Reference: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html
    """

    rate: float
    noise_shape: Any = None

    def __post_init__(self) -> None:
        if self.noise_shape is not None:
            sizes = tuple(self.noise_shape)
            if any(n is not None and (isinstance(n, bool) or not isinstance(n, Integral) or n < 1) for n in sizes):
                raise InputError(f"noise_shape: got {self.noise_shape!r}; accepted: a tuple of 1, sizes and None.")
            self._settle(noise_shape=sizes)
        if isinstance(self.rate, bool) or not isinstance(self.rate, Real) or not 0 <= float(self.rate) <= 1:
            raise InputError(f"rate: got {self.rate!r}; accepted: a number from 0 to 1.")

    @property
    def draws(self) -> int:
        return 1

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.noise_shape is not None:
            of_inputs = (None, *input_shape)
            fits = len(self.noise_shape) == len(of_inputs) and self.noise_shape[0] in (None, 1)
            if not fits or any(n not in (None, 1, size) for n, size in zip(self.noise_shape, of_inputs, strict=True)):
                self._refuse(input_shape, f"those that the noise_shape {self.noise_shape} fits")
        return input_shape


_DROPPED = [Dropout(0.3), Dense(5, "tanh"), Residual([Dense(5), Dropout(0.5)]), Dropout(0.2), Dense(3)]
_SMALL = [Conv2D(4, 3, activation="relu"), MaxPooling2D(), Conv2D(6, 3, padding="same", activation="relu")]
_SHARED = [Dropout(0.5, (None, None, 1)), Flatten(), Dense(3)]
CASES = (
    Setting("dropout-B9-I7-O3", (7,), _DROPPED, 9),
    Setting("dropout-inference-B9-I7-O3", (7,), _DROPPED, 9, training=False),
    Setting("dropout-of-rows-B6-4x3", (4, 3), [Dropout(0.4, (None, 1, 3)), Dense(5, "tanh"), *_SHARED], 6),
    Setting("cnn-B4-10x10x1", (10, 10, 1), [*_SMALL, MaxPooling2D(), Flatten(), Dropout(0.25), Dense(3)], 4),
)
