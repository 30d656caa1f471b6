"""Noise that is added in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from tfbp.errors import InputError
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting


@dataclass(frozen=True)
class GaussianNoise(Layer):
    """Adds normal numbers of mean 0 in training. At inference y = x.

    The seed alone decides the numbers: the same in all three writings, every dtype and every mode, rounded to the
    dtype.

    Args:
        stddev: their standard deviation, 0 or more.

    Raises:
        InputError: something else.

    Example:
        >>> GaussianNoise(0.2).output_shape((7, 4)), GaussianNoise(0.2).draws
        ((7, 4), 1)

    Reference: https://keras.io/api/layers/regularization_layers/gaussian_noise/
    """

    stddev: float

    def __post_init__(self) -> None:
        if isinstance(self.stddev, bool) or not isinstance(self.stddev, Real) or not 0 <= self.stddev < math.inf:
            raise InputError(f"stddev: got {self.stddev!r}; accepted: a finite number of 0 or more.")
        self._settle(stddev=float(self.stddev))

    @property
    def draws(self) -> int:
        return 1

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


_NOISY = [GaussianNoise(0.5), Dense(5, "tanh"), GaussianNoise(0.25), Dense(3)]
CASES = (
    Setting("gaussian-noise-B6-4x3", (4, 3), _NOISY, 6),
    Setting("gaussian-noise-inference-B6-4x3", (4, 3), _NOISY, 6, training=False),
)
