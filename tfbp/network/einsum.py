"""A dense layer along any axes, by an equation of letters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tfbp.errors import InputError
from tfbp.network.dense import Dense
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.vocabulary import L1L2


class Letters(NamedTuple):
    """Names the axes of x, kernel and z by letters, the batch included, and the axes of z that the bias has."""

    x: str
    kernel: str
    z: str
    bias: str


@dataclass(frozen=True)
class EinsumDense(Layer):
    """z = einsum(equation, x, kernel) + bias, y = activation(z).

    Args:
        equation: the letters of the axes of x, of the kernel and of z, the batch first: "abc,cd->abd". "..." are axes
            that x and z share.
        sizes: the sizes of z's axes without the batch, or of the last of them; None copies x's size. Keras's
            output_shape.
        bias_axes: the letters of the bias; None for none.
        activation, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Dense`.

    Raises:
        InputError: an equation of another form, or inputs that it does not fit.

    Example:
        >>> layer = EinsumDense("abc,cde->abde", (None, 2, 4), "de")
        >>> layer.output_shape((7, 5)), layer.weight_shapes((7, 5))
        ((7, 2, 4), {'kernel': (5, 2, 4), 'bias': (2, 4)})

    Reference: https://keras.io/api/layers/core_layers/einsum_dense/
    """

    equation: str
    sizes: Any
    bias_axes: str | None = None
    activation: Any = "linear"
    kernel_initializer: Initializer = field(default="glorot_uniform", hash=False)
    bias_initializer: Initializer = field(default="zeros", hash=False)
    kernel_regularizer: L1L2 | None = None
    bias_regularizer: L1L2 | None = None

    def __post_init__(self) -> None:
        x, _, rest = str(self.equation).replace(" ", "").partition(",")
        kernel, _, z = rest.partition("->")
        letters = [letters_of_one.replace("...", "") for letters_of_one in (x, kernel, z)]
        fits = all(letter.isalpha() and len(set(letter)) == len(letter) for letter in letters) and "..." not in kernel
        if not fits or x.count("...") > 1 or x.count("...") != z.count("..."):
            raise InputError(f"equation: got {self.equation!r}; accepted: one as 'abc,cd->abd', with '...' in x and z.")
        if set(letters[0]) - set(letters[1] + letters[2]) or set(letters[1]) - set(letters[0] + letters[2]):
            raise InputError(f"equation: got {self.equation!r}; accepted: one in which each letter is in two places.")
        given = self.sizes if isinstance(self.sizes, list | tuple) else (self.sizes,)
        self._settle(
            sizes=tuple(given),
            activation=self.activation,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
        )

    def letters(self, input_shape: Shape) -> Letters:
        """Returns the axes, with unused letters in the place of "..."."""
        x, _, rest = self.equation.replace(" ", "").partition(",")
        kernel, _, z = rest.partition("->")
        count = len(input_shape) + 1 - len(x.replace("...", ""))
        if count < 0 or (count and "..." not in x):
            self._refuse(input_shape, f"inputs that the equation {self.equation!r} fits")
        free = [chr(number) for number in range(65, 123) if chr(number).isalpha() and chr(number) not in self.equation]
        x, z = (letters_of_one.replace("...", "".join(free[:count])) for letters_of_one in (x, z))
        first = min((z.index(letter) for letter in self.bias_axes or ""), default=len(z))
        return Letters(x, kernel, z, z[first:])

    def _sizes(self, input_shape: Shape) -> dict[str, Any]:
        letters = self.letters(input_shape)
        sizes: dict[str, Any] = dict(zip(letters.x, (None, *input_shape), strict=True))
        own = [letter for letter in self.equation.partition("->")[2] if letter.isalpha()]
        for letter, size in zip(own[::-1], self.sizes[::-1], strict=False):
            if size is not None and sizes.setdefault(letter, size) != size:
                self._refuse(input_shape, f"inputs of {size} along {letter!r}")
        if missing := [letter for letter in letters.z if letter not in sizes]:
            self._refuse(input_shape, f"sizes that have one for {missing[0]!r}")
        return sizes

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = self._sizes(input_shape)
        return tuple(sizes[letter] for letter in self.letters(input_shape).z[1:])

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        sizes, letters = self._sizes(input_shape), self.letters(input_shape)
        axes = self.bias_axes or ""
        bias = {"bias": tuple(sizes[bias] if bias in axes else 1 for bias in letters.bias)} if axes else {}
        return {"kernel": tuple(sizes[letter] for letter in letters.kernel), **bias}

    def drawn_shape(self, weight: str, shape: Shape) -> Shape:
        """The kernel as a matrix: its rows are inputs, its columns outputs."""
        if weight != "kernel":
            return shape
        x, _, rest = self.equation.partition(",")
        letters = [each for each in rest.partition("->")[0] if each.isalpha()]
        summed = math.prod(size for letter, size in zip(letters, shape, strict=True) if letter in x)
        return summed, math.prod(shape) // summed

    def keras_arguments(self) -> dict[str, Any]:
        given = self.arguments()
        return {**{name: given[name] for name in given if name != "sizes"}, "output_shape": self.sizes}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        return super().from_keras_arguments({**given, "sizes": given["partial_output_shape"]})


_HEADS = EinsumDense("abc,cde->abde", (4, 2, 3), "de", "tanh", kernel_regularizer=PENALTY)
_JOINED = [EinsumDense("abde,def->abf", (4, 5), "f"), EinsumDense("abf,bg->agf", (3, 5))]
_SHARED = [EinsumDense("...x,xy->...y", 5, "y", "tanh"), EinsumDense("ax...,xy->ay...", 2, "y")]
CASES = (
    Setting("einsum-B5-4x6", (4, 6), [_HEADS, *_JOINED, Flatten(), Dense(3)], 5),
    # Keras reverses two axes of "..." when it computes shapes: equal sizes here avoid that
    Setting("einsum-of-all-axes-B5-3x3x4", (3, 3, 4), [*_SHARED, Flatten(), Dense(3)], 5),
)
