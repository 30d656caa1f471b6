"""Layers one after another: their inputs, the chain's output, and the places of their weights.

A place is the path to a layer in a network's nested lists: (2,) its third, (2, "layers", 0) the first of a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfbp.errors import InputError
from tfbp.network.activation import ActivationLayer
from tfbp.network.graph import Call, calls_of_a_part, draws_before, shape_taken
from tfbp.network.layer import Layer, Shape
from tfbp.vocabulary import Activation

Place = tuple[Any, ...]


@dataclass(frozen=True)
class Node:
    """A call of a layer of a network.

    Attributes:
        place: where the layer's weights are in parameters and gradients.
        layer: the layer.
        input_shape: the shape that it takes; of a layer that takes several tensors, theirs.
        output_shape: the shape that it makes.
        draws_before: how many seeds the calls before it take.
        at: where its tensors are among those of a pass; as its place, where each layer is called once, in order.
        calls_before: how often the layer is called before.
        takes: the numbers of the tensors that it takes; of a part's none.
    """

    place: Place
    layer: Layer
    input_shape: Any
    output_shape: Shape
    draws_before: int
    at: Place = ()
    calls_before: int = 0
    takes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As it is called in reports: 2, or 2.layers.0 for a part's, or 2-again where the layer was called before."""
        again = "" if not self.calls_before else "-again" if self.calls_before == 1 else f"-again-{self.calls_before}"
        return ".".join(map(str, self.place)) + again


def as_layers(argument: str, given: object) -> tuple[Layer, ...]:
    """The layers; a `tfbp.Activation` among them becomes a layer.

    Raises:
        InputError: no list, an empty one, or something in it that is not a layer.
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise InputError(f"{argument}: got {given!r}; accepted: a list of one or more layers, such as tfbp.Dense.")
    layers = [ActivationLayer(each) if isinstance(each, Activation) else each for each in given]
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise InputError(f"{argument}[{index}]: got {layer!r}; accepted: a layer, such as tfbp.Dense.")
    return tuple(layers)


def output_shape_of(layers: Sequence[Layer], shape: Shape, argument: str = "layers") -> Shape:
    """The shape that the chain makes of a shape.

    Raises:
        InputError: a layer that does not fit the shape before it, by its index.
    """
    for index, layer in enumerate(layers):
        try:
            shape = layer.output_shape(shape)
        except InputError as error:
            raise InputError(f"{argument}[{index}]: {error}") from None
    return shape


def weight_shapes_of(layers: Sequence[Layer], shape: Shape) -> list[dict[str, Any]]:
    """The shapes of each layer's weights."""
    shapes = []
    for layer in layers:
        shapes.append(layer.weight_shapes(shape))
        shape = layer.output_shape(shape)
    return shapes


def nodes_of(
    layers: Sequence[Layer], calls: Sequence[Call], shapes: Sequence[Shape], place: Place = (), draws: int = 0
) -> Iterator[Node]:
    """Every call in the order of the forward pass, one of a layer with parts after its parts; shapes: the inputs'."""
    made, times = list(shapes), [0] * len(layers)
    for number, (call, before) in enumerate(zip(calls, draws_before(layers, calls), strict=True)):
        layer, here, at = layers[call.layer], (*place, call.layer), (*place, number)
        shape = shape_taken([made[i] for i in call.takes], layer.takes_several)
        drawn = draws + before
        for name, part in layer.parts.items():
            of_part = shape if layer.takes_several else [shape]
            for node in nodes_of(part, calls_of_a_part(len(part), len(of_part)), of_part, (*here, name), drawn):
                yield replace(node, at=(*at, *node.at[len(here) :]))
            drawn += sum(each.draws for each in part)
        made.append(layer.output_shape(shape))
        yield Node(here, layer, shape, made[-1], draws + before, at, times[call.layer], call.takes)
        times[call.layer] += 1


def is_part(value: object) -> bool:
    """Whether a value in a layer's dict is a part's list of dicts, and no weight, which may be a list of numbers."""
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def at(nested: Any, place: Place) -> Any:
    """The entry at a place of nested lists such as parameters, gradients or tensors."""
    for step in place:
        nested = nested[step]
    return nested


def named_weights(nested: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Place, str, Any]]:
    """(place of the layer, name, weight) of nested lists such as parameters.

    Example:
        >>> [(place, name) for place, name, _ in named_weights([{"kernel": 1}, {"layers": [{"bias": 2}]}])]
        [((0,), 'kernel'), ((1, 'layers', 0), 'bias')]
    """
    for index, layer in enumerate(nested):
        for name, value in layer.items():
            if is_part(value):
                for place, inner, weight in named_weights(value):
                    yield (index, name, *place), inner, weight
            else:
                yield (index,), name, value


def map_weights(function: Callable[[Any], Any], nested: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Nested lists such as parameters with the function of each weight in its place.

    Example:
        >>> map_weights(lambda w: 10 * w, [{"kernel": 1}, {"layers": [{"bias": 2}]}])
        [{'kernel': 10}, {'layers': [{'bias': 20}]}]
    """
    return [
        {name: map_weights(function, value) if is_part(value) else function(value) for name, value in layer.items()}
        for layer in nested
    ]


def placed(
    layers: Sequence[Layer], by_place: Mapping[Place, dict[str, Any]], place: Place = ()
) -> list[dict[str, Any]]:
    """Each layer's dict of weights, by its place, as nested lists."""
    return [
        {part: placed(inner, by_place, (*place, index, part)) for part, inner in layer.parts.items()}
        or by_place.get((*place, index), {})
        for index, layer in enumerate(layers)
    ]
