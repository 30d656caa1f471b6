"""A network as calls on numbered tensors: the inputs are the first tensors, and each call makes the next.

A graph is written as in Keras: `x = Input(8); y = Dense(3)(x)`. A layer that is called twice is one layer, by identity.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from tfbp.errors import InputError

_COUNT = itertools.count()
# the names of the layers behind x + y, x - y, x * y and 2 * x; they are defined in `merge` and `scaling`
OPERATORS: dict[str, Any] = {}


@dataclass(frozen=True)
class Call:
    """A call of one of the network's layers on tensors."""

    layer: int
    takes: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """Layers and their calls. Inputs are tensors 0 to `inputs` - 1; call k makes the tensor `inputs` + k."""

    layers: tuple[Any, ...]
    calls: tuple[Call, ...]
    inputs: int

    @staticmethod
    def of_chain(layers: Sequence[Any]) -> Graph:
        """The graph of a chain: each layer takes the output of the layer before it."""
        return Graph(tuple(layers), calls_of_a_chain(len(layers)), 1)

    @staticmethod
    def of_part(layers: Sequence[Any], inputs: int) -> Graph:
        """The same of a part of a layer, the first of which takes all inputs."""
        return Graph(tuple(layers), calls_of_a_part(len(layers), inputs), inputs)

    @property
    def draws_before(self) -> list[int]:
        """The number of seeds that the calls before each one take."""
        return draws_before(self.layers, self.calls)


@dataclass(frozen=True, eq=False)
class Symbol:
    """A tensor of a network under construction: its shape, without the batch, and the call that makes it.

    Attributes:
        tokens: the `tfbp.Tokens` of an input of integers.
    """

    shape: Any
    layer: Any = None
    takes: tuple[Symbol, ...] = ()
    tokens: Any = None
    number: int = field(default_factory=lambda: next(_COUNT))

    def __repr__(self) -> str:
        return f"<Symbol {self.shape}>"

    def __add__(self, other: Any) -> Symbol:
        return self._scaled(1.0, other) if isinstance(other, Real) else called(OPERATORS["+"](), (self, other))

    def __sub__(self, other: Any) -> Symbol:
        return self._scaled(1.0, -other) if isinstance(other, Real) else called(OPERATORS["-"](), (self, other))

    def __mul__(self, other: Any) -> Symbol:
        return self._scaled(other, 0.0) if isinstance(other, Real) else called(OPERATORS["*"](), (self, other))

    __radd__, __rmul__ = __add__, __mul__

    def _scaled(self, scale: Any, offset: Any) -> Symbol:
        return called(OPERATORS["scaled"](float(scale), float(offset)), (self,))


def calls_of_a_chain(length: int) -> tuple[Call, ...]:
    """The graph of a chain: each layer takes the output of the layer before it."""
    return tuple(Call(index, (index,)) for index in range(length))


def calls_of_a_part(length: int, inputs: int) -> tuple[Call, ...]:
    """The same, with a first that takes several inputs."""
    return (Call(0, tuple(range(inputs))), *(Call(index, (inputs + index - 1,)) for index in range(1, length)))


def symbols_of(given: Any) -> tuple[Symbol, ...]:
    """Returns the tensors of a layer's call, passed one by one or as a list.

    Raises:
        InputError: something that is not a tensor of a network.
    """
    taken = tuple(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else tuple(given)
    for tensor in taken:
        if not isinstance(tensor, Symbol):
            raise InputError(f"inputs: got {tensor!r}; accepted: what tfbp.Input or a layer's call made.")
    return taken


def called(layer: Any, given: Any) -> Symbol:
    """Returns a layer's output in a network under construction.

    Raises:
        InputError: tensors that it cannot take.
    """
    taken = symbols_of(given)
    several = layer.takes_several
    if len(taken) < (2 if several else 1) or (len(taken) > 1 and not several):
        accepted = "two or more" if several else "one"
        raise InputError(f"{type(layer).__name__}: got {len(taken)} tensors; accepted: {accepted}.")
    for tensor in taken:
        if layer.takes_tokens is not None and layer.takes_tokens != (tensor.tokens is not None):
            accepted = "tokens" if layer.takes_tokens else "no tokens, which an Embedding looks up"
            raise InputError(f"{type(layer).__name__}: got {tensor.tokens or tensor.shape}; accepted: {accepted}.")
        if layer.takes_tokens and layer.input_dim < tensor.tokens.vocabulary:
            raise InputError(
                f"{type(layer).__name__}: input_dim: got {layer.input_dim}; accepted: {tensor.tokens.vocabulary} or "
                f"more, for {tensor.tokens!r}."
            )
    shape = shape_taken([tensor.shape for tensor in taken], several)
    return Symbol(layer.output_shape(shape), layer, taken)


def shape_taken(shapes: Sequence[Any], several: bool) -> Any:
    """Returns the input shapes of a layer: the shape of its one tensor, or all of them."""
    return tuple(shapes) if several else shapes[0]


def traced(inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> tuple[list[Any], list[Call], list[int]]:
    """Returns the layers, the calls in the order of their definition, and the numbers of the outputs.

    Raises:
        InputError: an output that depends on a missing input, or an input that nothing takes.
    """
    seen = needed(outputs)
    computed = [tensor for tensor in seen.values() if tensor.layer is not None]
    for node in seen.values():
        if node.layer is None and node not in inputs:
            raise InputError(f"inputs: got none of shape {node.shape}, which an output depends on; accepted: all.")
    for index, node in enumerate(inputs):
        if node.layer is not None or node.number not in seen:
            raise InputError(f"inputs[{index}]: got {node!r}; accepted: a tfbp.Input that an output depends on.")
    numbers = {node.number: index for index, node in enumerate([*inputs, *computed])}
    layers, calls = layers_of(outputs), []
    for node in computed:
        index = next(i for i, layer in enumerate(layers) if layer is node.layer)
        calls.append(Call(index, tuple(numbers[taken.number] for taken in node.takes)))
    return layers, calls, [numbers[output.number] for output in outputs]


def layers_of(outputs: Sequence[Symbol]) -> list[Any]:
    """Returns the layers that outputs depend on, each once, in the order of their first calls."""
    layers: list[Any] = []
    for tensor in needed(outputs).values():
        if tensor.layer is not None and not any(tensor.layer is layer for layer in layers):
            layers.append(tensor.layer)
    return layers


def needed(outputs: Sequence[Symbol]) -> dict[int, Symbol]:
    """Returns the tensors that outputs depend on, in the order of their definition."""
    seen: dict[int, Symbol] = {}
    left = list(outputs)
    while left:
        each = left.pop()
        if each.number not in seen:
            seen[each.number] = each
            left += each.takes
    return dict(sorted(seen.items()))


def draws_before(layers: Sequence[Any], calls: Sequence[Call]) -> list[int]:
    """Returns the number of seeds that the calls before each one take."""
    return [0, *itertools.accumulate(layers[call.layer].draws for call in calls)][: len(calls)]


def is_taken(calls: Sequence[Call], ends: Sequence[int], inputs: int, end: int) -> bool:
    """Whether an output has another user than its loss: a call that takes it, or another call of its layer."""
    layer = calls[end - inputs].layer
    taken = any(end in call.takes for call in calls) or list(ends).count(end) > 1
    return taken or sum(call.layer == layer for call in calls) > 1
