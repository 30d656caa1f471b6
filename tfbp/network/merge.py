"""Layers that make one tensor from several: sums, products, means, extremes, concatenations.

Where two tensors differ in size along an axis, one of them has size 1 there and is repeated, as NumPy broadcasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

from tfbp.errors import InputError
from tfbp.network.dense import Dense
from tfbp.network.graph import OPERATORS, Symbol
from tfbp.network.input import Input
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting

Shapes = tuple[Shape, ...]


def together(layer: Layer, shapes: Any) -> Shape:
    """Returns the shape of several tensors together; a layer refuses shapes that do not fit each other."""
    shape, *others = shapes
    for other in others:
        fits = len(other) == len(shape) and all(a == b or 1 in (a, b) for a, b in zip(shape, other, strict=True))
        if not fits:
            layer._refuse(shapes, "tensors of one shape, or with 1 along an axis where others have more")
        shape = tuple(max(a, b) for a, b in zip(shape, other, strict=True))
    return shape


class _Merge(Layer):
    """The common part of the merges that work element by element."""

    takes_several: ClassVar[bool] = True
    keras_name: ClassVar[str] = "_Merge"

    def output_shape(self, input_shape: Any) -> Shape:
        return together(self, input_shape)


@dataclass(frozen=True)
class Add(_Merge, Layer):
    """y = the sum of all inputs.

    Example:
        >>> Add().output_shape(((7, 4), (7, 4), (1, 4)))
        (7, 4)

    Reference: https://keras.io/api/layers/merging_layers/add/
    """


@dataclass(frozen=True)
class Subtract(_Merge, Layer):
    """y = the first of two minus the second.

    Example:
        >>> Subtract().output_shape(((7, 4), (7, 4)))
        (7, 4)

    Reference: https://keras.io/api/layers/merging_layers/subtract/
    """

    def output_shape(self, input_shape: Any) -> Shape:
        if len(input_shape) != 2:
            self._refuse(input_shape, "two tensors")
        return super().output_shape(input_shape)


@dataclass(frozen=True)
class Multiply(_Merge, Layer):
    """y = the product of all inputs, element by element.

    Example:
        >>> Multiply().output_shape(((7, 7, 4), (1, 1, 4)))
        (7, 7, 4)

    Reference: https://keras.io/api/layers/merging_layers/multiply/
    """


@dataclass(frozen=True)
class Average(_Merge, Layer):
    """y = the mean of all inputs.

    Example:
        >>> Average().output_shape(((7, 4), (7, 4)))
        (7, 4)

    Reference: https://keras.io/api/layers/merging_layers/average/
    """


@dataclass(frozen=True)
class Maximum(_Merge, Layer):
    """y = the largest of all inputs; each of two equal ones has half of the gradient, as in TensorFlow.

    Example:
        >>> Maximum().output_shape(((7, 4), (7, 4)))
        (7, 4)

    Reference: https://keras.io/api/layers/merging_layers/maximum/
    """


@dataclass(frozen=True)
class Minimum(_Merge, Layer):
    """y = the smallest of all inputs; two equal ones share the gradient as in `Maximum`.

    Example:
        >>> Minimum().output_shape(((7, 4), (7, 4)))
        (7, 4)

    Reference: https://keras.io/api/layers/merging_layers/minimum/
    """


@dataclass(frozen=True)
class Concatenate(Layer):
    """y = the inputs one after another along an axis.

    Args:
        axis: the axis, counted with the batch as 0, or from the last; not the batch.

    Raises:
        InputError: no such axis.

    Example:
        >>> Concatenate().output_shape(((7, 4), (7, 2)))
        (7, 6)

    Reference: https://keras.io/api/layers/merging_layers/concatenate/
    """

    takes_several: ClassVar[bool] = True

    axis: int = -1

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, Integral) or self.axis == 0:
            raise InputError(f"axis: got {self.axis!r}; accepted: an integer other than 0, the batch.")

    def output_shape(self, input_shape: Any) -> Shape:
        first = input_shape[0]
        axis = self.axis + len(first) if self.axis < 0 else self.axis - 1
        apart = [(*shape[:axis], *shape[axis + 1 :]) for shape in input_shape]
        if not 0 <= axis < len(first) or any(other != apart[0] for other in apart):
            self._refuse(input_shape, f"tensors with an axis {self.axis}, and alike along all others")
        return (*first[:axis], sum(shape[axis] for shape in input_shape), *first[axis + 1 :])


@dataclass(frozen=True)
class Dot(Layer):
    """y = the product of two tensors, summed along an axis of each.

    Args:
        axes: an axis of both, or one of each, counted with the batch as 0, or from the last.
        normalize: False; True is not available.

    Raises:
        InputError: no such axes.

    Example:
        >>> Dot(-1).output_shape(((7, 4), (5, 4))), Dot(1).output_shape(((4,), (4,)))
        ((7, 5), (1,))

    Reference: https://keras.io/api/layers/merging_layers/dot/
    """

    takes_several: ClassVar[bool] = True

    axes: Any

    def __post_init__(self) -> None:
        axes = (self.axes, self.axes) if isinstance(self.axes, Integral) else tuple(self.axes)
        if len(axes) != 2 or any(isinstance(a, bool) or not isinstance(a, Integral) or a == 0 for a in axes):
            raise InputError(f"axes: got {self.axes!r}; accepted: an integer other than 0, or two of them.")
        self._settle(axes=tuple(map(int, axes)))

    def summed(self, input_shape: Any) -> tuple[int, int]:
        """Returns the axis of each input, counted without the batch."""
        one, other = (a + len(shape) if a < 0 else a - 1 for a, shape in zip(self.axes, input_shape, strict=True))
        return one, other

    def output_shape(self, input_shape: Any) -> Shape:
        if len(input_shape) != 2 or any(len(shape) not in (1, 2) for shape in input_shape):
            self._refuse(input_shape, "two tensors of shape (I,) or (T, I)")
        (one, other), (a, b) = self.summed(input_shape), input_shape
        if not (0 <= one < len(a) and 0 <= other < len(b) and a[one] == b[other]):
            self._refuse(input_shape, f"two tensors of one size along the axes {self.axes}")
        return (*a[:one], *a[one + 1 :], *b[:other], *b[other + 1 :]) or (1,)

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("normalize"):
            raise InputError("normalize: got True; accepted: False.")
        return super().from_keras_arguments(given)


OPERATORS.update({"+": Add, "-": Subtract, "*": Multiply})


def _two(shape: Shape) -> tuple[Symbol, Symbol, Symbol]:
    """Returns an input, and two tensors of one shape computed from it."""
    x = Input(shape)
    return x, Dense(4, "tanh")(x), Dense(4)(x)


def _merged(name: str, layer: Layer, shape: Shape = (3,)) -> Setting:
    x, a, b = _two(shape)
    return Setting(name, x, Dense(3)(layer(a, b)), 5)


def _taken_often() -> Setting:
    x = Input(4)
    y = Dense(5, "tanh")(x)
    # y is taken five times, by four layers
    many = Concatenate()(Add()(y, y), Multiply()(y, Dense(5)(y)), Average()(y, Dense(5, "tanh")(y)))
    return Setting("taken-often-B6-I4", x, Dense(3)(many), 6)


def _shared() -> Setting:
    a, b = Input(4), Input(4)
    inner, outer = Dense(4, "tanh", kernel_regularizer="l2"), Dense(3)
    apart = Subtract()(inner(inner(a)), inner(b))
    return Setting("shared-B6-I4", [a, b], outer(apart), 6)


def _several_outputs() -> Setting:
    a, b = Input((5, 3)), Input(4)
    h = Dense(4, "tanh")(a)
    y = Dense(3, "softmax")(Multiply()(b, Dense(4)(b)))
    # the softmax is fused with its loss, and another layer takes it too
    z = Dense(2)(Concatenate()(y, b))
    losses = ["half_squared_error", "categorical_crossentropy", "mean_absolute_error"]
    return Setting("several-outputs-B5", [a, b], [Dot((2, 1))(h, b), y, z], 5, losses)


def _weighed_losses() -> Setting:
    """Two losses with factors; the outputs depend on the first of equal numbers, as two relu are at 0."""
    x = Input((3, 2))
    a, b, one = Dense(4, "relu")(x), Dense(4, "relu")(x), Dense(1, "relu")(x)
    losses = ["mean_squared_error", "half_squared_error"]
    outputs = [Dense(2)(Maximum()(a, b, one)), Dense(3)(Minimum()(b, a))]
    return Setting("weighed-losses-B8-3x2", x, outputs, 8, losses, loss_weights=(0.25, 3.0))


CASES = (
    _merged("add-B5-I3", Add()),
    _merged("subtract-B5-2x3", Subtract(), (2, 3)),
    _merged("multiply-B5-I3", Multiply()),
    _merged("average-B5-I3", Average()),
    _merged("maximum-B5-I3", Maximum()),
    _merged("minimum-B5-I3", Minimum()),
    _merged("concatenate-B5-2x3", Concatenate(1), (2, 3)),
    _merged("dot-B5-3x2", Dot((1, 1)), (3, 2)),
    _taken_often(),
    _shared(),
    _several_outputs(),
    _weighed_losses(),
)
