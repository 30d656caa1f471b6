"""The input of a network that is written as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from tfbp.errors import InputError, check_count
from tfbp.network.graph import Symbol
from tfbp.network.tokens import Tokens


def Input(shape: int | Sequence[int] | Tokens) -> Symbol:
    """Returns an input of a network that is written as a graph.

    Args:
        shape: the width of an example, or its shape without the batch, or `tfbp.Tokens`.

    Raises:
        InputError: anything else.

    Example:
        >>> from tfbp import Add, Dense, Network
        >>> x = Input(4)
        >>> h = Dense(4, "tanh")(x)
        >>> Network(x, Dense(2)(Add()(x, h)), "huber").calls
        (Call(layer=0, takes=(0,)), Call(layer=1, takes=(0, 1)), Call(layer=2, takes=(2,)))

    Reference: https://keras.io/api/layers/core_layers/input/
    """
    if isinstance(shape, Tokens):
        return Symbol(shape.shape, tokens=shape)
    return Symbol(shape_of("shape", shape))


def shape_of(argument: str, given: Any) -> tuple[int, ...]:
    """Returns the shape of an example from a width or a shape."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        check_count(argument, given)
        return (int(given),)  # type: ignore[arg-type]
    for size in given:
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise InputError(f"{argument}: got {given!r}; accepted: an integer of at least 1, or a tuple of such.")
    return tuple(map(int, given))
