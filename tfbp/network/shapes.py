"""Layers that change the shape of an example and none of its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from tfbp.errors import InputError
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import PENALTY, Setting
from tfbp.vocabulary import Activation


@dataclass(frozen=True)
class Flatten(Layer):
    """Joins all axes of an example: (H, W, C) becomes (H · W · C,).

    Example:
        >>> Flatten().output_shape((3, 4, 2))
        (24,)

    Reference: https://keras.io/api/layers/reshaping_layers/flatten/
    """

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)


@dataclass(frozen=True)
class Reshape(Layer):
    """Changes the shape of an example; the order of the numbers stays, the last axis first.

    Args:
        target_shape: the shape, without the batch; one size may be -1, which stands for the rest.

    Raises:
        InputError: sizes that are not integers of at least 1, or -1 more than once.

    Example:
        >>> Reshape((4, -1)).output_shape((24,))
        (4, 6)

    Reference: https://keras.io/api/layers/reshaping_layers/reshape/
    """

    target_shape: Shape

    def __init__(self, target_shape: Sequence[int]) -> None:
        sizes = tuple(target_shape) if isinstance(target_shape, Sequence) else ()
        wrong = any(isinstance(n, bool) or not isinstance(n, Integral) or (n < 1 and n != -1) for n in sizes)
        if not sizes or wrong or sizes.count(-1) > 1:
            raise InputError(
                f"target_shape: got {target_shape!r}; accepted: a tuple of integers of at least 1, or one -1 in it."
            )
        self._settle(target_shape=tuple(map(int, sizes)))

    def output_shape(self, input_shape: Shape) -> Shape:
        size, known = math.prod(input_shape), math.prod(n for n in self.target_shape if n != -1)
        if size % known or (-1 not in self.target_shape and size != known):
            of = "a multiple of " if -1 in self.target_shape else ""
            self._refuse(input_shape, f"inputs of {of}{known} numbers, for the shape {self.target_shape}")
        return tuple(size // known if n == -1 else n for n in self.target_shape)


_RANK3 = [Dense(5, "tanh", kernel_regularizer=PENALTY), Activation("silu"), Flatten(), Dense(3)]
# a softmax along the last of several axes, its gradient, and a last layer that is an activation
_RESHAPED = [
    *(Reshape((2, -1)), Dense(6, "softmax"), Reshape((3, 2, 2)), Dense(4, "gelu"), Flatten(), Dense(3)),
    Activation("softmax"),
]
CASES = (
    Setting("rank3-B6-I4x7-O3", (4, 7), _RANK3, 6),
    Setting("reshape-B5-I12-O3", 12, _RESHAPED, 5),
)
