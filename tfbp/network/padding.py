"""Zero padding and cropping of sequences, images and volumes, along every axis but the batch and the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

from tfbp.errors import InputError
from tfbp.network.convolution import WHAT_HAS_AXES, Conv2D, ImageLayer
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting
from tfbp.network.shapes import Flatten

_ACCEPTED = {1: "or (before, after)", 2: "(rows, columns), or ((top, bottom), (left, right))"}
_ACCEPTED[3] = "three integers, or three pairs"


class _Edges(ImageLayer):
    """The common part of layers that change the sizes at both ends of each axis; not a kind."""

    axes: ClassVar[int]
    argument: ClassVar[str]
    keras_name: ClassVar[str] = "_Edges"

    def __post_init__(self) -> None:
        given: Any = getattr(self, self.argument)
        pairs: Any = (given,) * self.axes if isinstance(given, Integral) else _tuple(given)
        if self.axes == 1 and len(pairs) == 2:
            pairs = (pairs,)
        pairs = tuple((pair, pair) if isinstance(pair, Integral) else _tuple(pair) for pair in pairs)
        flat = [size for pair in pairs for size in pair]
        wrong = any(isinstance(size, bool) or not isinstance(size, Integral) or size < 0 for size in flat)
        if wrong or [len(pair) for pair in pairs] != [2] * self.axes:
            raise InputError(f"{self.argument}: got {given!r}; accepted: an integer, {_ACCEPTED[self.axes]}.")
        self._settle(**{self.argument: tuple(tuple(map(int, pair)) for pair in pairs)})

    @property
    def ends(self) -> tuple[tuple[int, int], ...]:
        """The numbers at both ends of each axis."""
        return getattr(self, self.argument)

    def _sizes(self, input_shape: Shape) -> Shape:
        if len(input_shape) != self.axes + 1:
            self._refuse(input_shape, WHAT_HAS_AXES[self.axes])
        return input_shape[:-1]

    def keras_arguments(self) -> dict[str, Any]:
        return {self.argument: self.ends[0] if self.axes == 1 else self.ends}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(map(tuple, config[cls.argument])))  # type: ignore[call-arg]


class _Padding(_Edges):
    argument: ClassVar[str] = "padding"

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = zip(self._sizes(input_shape), self.ends, strict=True)
        return (*(size + before + after for size, (before, after) in sizes), input_shape[-1])


class _Cropping(_Edges):
    argument: ClassVar[str] = "cropping"

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = zip(self._sizes(input_shape), self.ends, strict=True)
        left = tuple(size - before - after for size, (before, after) in sizes)
        if min(left) < 1:
            self._refuse(input_shape, f"inputs that are larger than the cropping {self.ends}")
        return (*left, input_shape[-1])


@dataclass(frozen=True)
class ZeroPadding1D(_Padding, Layer):
    """Adds zeros before and after each sequence.

    Args:
        padding: the number of steps: one for both ends, or (before, after).

    Raises:
        InputError: anything else.

    Example:
        >>> ZeroPadding1D((1, 2)).output_shape((4, 3))
        (7, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/zero_padding1d/
    """

    axes: ClassVar[int] = 1

    padding: Any = 1


@dataclass(frozen=True)
class ZeroPadding2D(_Padding, Layer):
    """Adds zeros around each image.

    Args:
        padding: the number of rows and columns: one for all sides, (rows, columns) for both sides of each, or
            ((top, bottom), (left, right)).

    Raises:
        InputError: anything else.

    Example:
        >>> ZeroPadding2D(((0, 1), (2, 3))).output_shape((4, 4, 3))
        (5, 9, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/zero_padding2d/
    """

    axes: ClassVar[int] = 2

    padding: Any = (1, 1)


@dataclass(frozen=True)
class ZeroPadding3D(_Padding, Layer):
    """Adds zeros around each volume.

    Args:
        padding: the numbers along depth, height and width: one for all, one for each, or three pairs.

    Raises:
        InputError: anything else.

    Example:
        >>> ZeroPadding3D((1, 0, 2)).output_shape((4, 4, 4, 3))
        (6, 4, 8, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/zero_padding3d/
    """

    axes: ClassVar[int] = 3

    padding: Any = (1, 1, 1)


@dataclass(frozen=True)
class Cropping1D(_Cropping, Layer):
    """Removes the first and last steps of each sequence.

    Args:
        cropping: the number of steps: one for both ends, or (before, after).

    Raises:
        InputError: anything else.

    Example:
        >>> Cropping1D((1, 2)).output_shape((8, 3))
        (5, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/cropping1d/
    """

    axes: ClassVar[int] = 1

    cropping: Any = (1, 1)


@dataclass(frozen=True)
class Cropping2D(_Cropping, Layer):
    """Removes the outermost rows and columns of each image.

    Args:
        cropping: the number of rows and columns: one for all sides, (rows, columns) for both sides of each, or
            ((top, bottom), (left, right)).

    Raises:
        InputError: anything else.

    Example:
        >>> Cropping2D(((0, 1), (2, 3))).output_shape((6, 6, 3))
        (5, 1, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/cropping2d/
    """

    axes: ClassVar[int] = 2

    cropping: Any = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Cropping3D(_Cropping, Layer):
    """Removes the outermost layers of each volume.

    Args:
        cropping: the numbers along depth, height and width: one for all, one for each, or three pairs.

    Raises:
        InputError: anything else.

    Example:
        >>> Cropping3D((1, 0, 2)).output_shape((6, 6, 6, 3))
        (4, 6, 2, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/cropping3d/
    """

    axes: ClassVar[int] = 3

    cropping: Any = ((1, 1), (1, 1), (1, 1))


def _tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else ()


def _around(name: str, shape: Shape, layers: list[Layer]) -> Setting:
    return Setting(f"{name}-B5-{'x'.join(map(str, shape))}", shape, [*layers, Flatten(), Dense(3)], 5)


CASES = (
    Setting(
        "zero-padding-B5-4x3x2",
        (4, 3, 2),
        [Conv2D(3, 2, activation="tanh"), ZeroPadding2D(((0, 1), (2, 1))), Conv2D(2, 2), Flatten(), Dense(3)],
        5,
    ),
    _around("edges-of-sequences", (4, 3), [ZeroPadding1D((2, 1)), Dense(4, "tanh"), Cropping1D((3, 1)), Dense(2)]),
    _around("cropping", (5, 6, 2), [Cropping2D(((0, 1), (2, 1))), Dense(3, "tanh"), Cropping2D((1, 0)), Dense(2)]),
    _around(
        "edges-of-volumes",
        (3, 2, 3, 2),
        [Cropping3D(((1, 0), (0, 0), (0, 1))), Dense(3, "tanh"), ZeroPadding3D(((0, 1), (1, 0), (2, 0))), Dense(2)],
    ),
)
