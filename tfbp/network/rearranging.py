"""Layers that move numbers of an example, or select some of them: no number changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_count
from tfbp.network.dense import Dense
from tfbp.network.graph import Symbol
from tfbp.network.input import Input
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting
from tfbp.network.shapes import Flatten


@dataclass(frozen=True)
class Permute(Layer):
    """Permutes the axes of an example.

    Args:
        dims: the axis that comes first, second, …, counted from 1; the batch keeps its place.

    Raises:
        InputError: anything but a permutation of 1, 2, ….

    Example:
        >>> Permute((2, 1)).output_shape((3, 4))
        (4, 3)

    Reference: https://keras.io/api/layers/reshaping_layers/permute/
    """

    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        dims = tuple(self.dims) if isinstance(self.dims, Sequence) else ()
        if not dims or sorted(dims) != [*range(1, len(dims) + 1)]:
            raise InputError(f"dims: got {self.dims!r}; accepted: 1, 2, … in some order, in a tuple.")
        self._settle(dims=tuple(map(int, dims)))

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != len(self.dims):
            self._refuse(input_shape, f"inputs with {len(self.dims)} axes")
        return tuple(input_shape[axis - 1] for axis in self.dims)


@dataclass(frozen=True)
class RepeatVector(Layer):
    """Repeats a row n times, as the steps of a sequence.

    Args:
        n: the number of steps.

    Example:
        >>> RepeatVector(5).output_shape((4,))
        (5, 4)

    Reference: https://keras.io/api/layers/reshaping_layers/repeat_vector/
    """

    n: int

    def __post_init__(self) -> None:
        check_count("n", self.n)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            self._refuse(input_shape, "rows, (features,)")
        return (self.n, *input_shape)


@dataclass(frozen=True)
class GetItem(Layer):
    """Selects a part of each example: y = x[:, key], by slices and indices.

    Args:
        key: for each axis after the batch a slice, or an index, which removes the axis. Missing axes are taken whole.
            A slice may be (start, stop, step).

    Raises:
        InputError: anything else.

    Example:
        >>> GetItem((slice(1, None), 0)).output_shape((5, 4, 3))
        (4, 3)

    Reference: https://numpy.org/doc/stable/user/basics.indexing.html
    """

    is_operation: ClassVar[bool] = True

    key: tuple[Any, ...]

    def __post_init__(self) -> None:
        given = self.key if isinstance(self.key, tuple | list) else (self.key,)
        found = tuple((item.start, item.stop, item.step) if isinstance(item, slice) else item for item in given)
        for item in found:
            parts = item if isinstance(item, tuple | list) and len(item) == 3 else (item,)
            wrong = any(isinstance(n, bool) or not isinstance(n, Integral | None) for n in parts)
            if wrong or parts == (None,) or (len(parts) == 3 and parts[2] == 0):
                raise InputError(f"key: got {self.key!r}; accepted: slices and integers.")
        self._settle(key=tuple(tuple(item) if isinstance(item, tuple | list) else int(item) for item in found))

    @property
    def taken(self) -> tuple[Any, ...]:
        """The slices and indices, with the batch's slice."""
        return (slice(None), *(slice(*item) if isinstance(item, tuple) else item for item in self.key))

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(self.key) > len(input_shape):
            self._refuse(input_shape, f"inputs with {len(self.key)} axes or more")
        shape: list[int] = []
        for size, each in zip(input_shape, self.key, strict=False):
            if isinstance(each, tuple):
                shape.append(len(range(size)[slice(*each)]))
            elif not -size <= each < size:
                self._refuse(input_shape, f"inputs with an index {each}")
        if 0 in shape:
            self._refuse(input_shape, "inputs of which the slices take something")
        return (*shape, *input_shape[len(self.key) :])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["key"]))

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        return x[self.taken]


@dataclass(frozen=True)
class Stack(Layer):
    """Stacks several tensors of one shape along a new axis.

    Args:
        axis: the index of the new axis, counted with the batch as 0, or from the last; not the batch.

    Raises:
        InputError: no such axis.

    Example:
        >>> Stack(1).output_shape(((4, 3), (4, 3)))
        (2, 4, 3)

    Reference: https://keras.io/api/ops/numpy/#stack-function
    """

    takes_several: ClassVar[bool] = True
    is_operation: ClassVar[bool] = True

    axis: int = -1

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, Integral) or self.axis == 0:
            raise InputError(f"axis: got {self.axis!r}; accepted: an integer other than 0, the batch.")

    def output_shape(self, input_shape: Any) -> Shape:
        first = input_shape[0]
        axis = self.axis + len(first) + 1 if self.axis < 0 else self.axis - 1
        if not 0 <= axis <= len(first) or any(shape != first for shape in input_shape):
            self._refuse(input_shape, f"tensors of one shape, with room for an axis {self.axis}")
        return (*first[:axis], len(input_shape), *first[axis:])

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        return ops.stack(x, axis=self.axis)


def _taken_apart() -> Setting:
    x = Input((4, 5))
    h = Dense(6, "tanh")(x)
    parts: list[Symbol] = [GetItem((slice(1, None, 2), slice(-4, -1)))(h), GetItem((slice(0, 2), slice(0, 3)))(h)]
    joined = Stack(2)(*parts)
    # every part is used, so that each has a gradient
    last = GetItem((slice(None, None, -1), slice(None), -1))(joined)
    return Setting("parts-B5-4x5", x, Dense(3)(last), 5)


CASES = (
    Setting("permute-B5-2x3x4", (2, 3, 4), [Dense(3, "tanh"), Permute((2, 3, 1)), Dense(2), Flatten(), Dense(3)], 5),
    Setting("repeat-B5-I4", 4, [Dense(3, "tanh"), RepeatVector(4), Dense(2), Flatten(), Dense(3)], 5),
    _taken_apart(),
)
