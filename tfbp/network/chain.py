"""Layers one after another: their inputs, the chain's output, the places of their weights.

A place is the path to a layer in nested lists: (2,) is the third layer, (2, "layers", 0) the first layer of its part.
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
    """One call of a layer of a network.

    Attributes:
        place: where the layer's weights are in parameters and gradients.
        layer: the layer.
        input_shape: the shape of its input; a tuple of shapes where the layer takes several tensors.
        output_shape: the shape of its output.
        draws_before: the number of seeds that the calls before it take.
        at: the index of its tensors among those of a pass. It equals place where each layer is called once, in order.
        calls_before: the number of earlier calls of the layer.
        takes: the numbers of the tensors that it takes; empty for a call inside a part.
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
        """The name in reports: 2, or 2.layers.0 in a part, or 2-again for a second call."""
        again = "" if not self.calls_before else "-again" if self.calls_before == 1 else f"-again-{self.calls_before}"
        return ".".join(map(str, self.place)) + again


def as_layers(argument: str, given: object) -> tuple[Layer, ...]:
    """Returns the layers; a `tfbp.Activation` among them becomes a layer.

    Raises:
        InputError: no list, an empty one, or something in it that is not a layer.
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise InputError(f"{argument}: got {given!r}; accepted: a list of one or more layers, such as tfbp.Dense.")
    layers = [ActivationLayer(item) if isinstance(item, Activation) else item for item in given]
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise InputError(f"{argument}[{index}]: got {layer!r}; accepted: a layer, such as tfbp.Dense.")
    return tuple(layers)


def output_shape_of(layers: Sequence[Layer], shape: Shape, argument: str = "layers") -> Shape:
    """Returns the chain's output shape for an input shape.

    Raises:
        InputError: a layer that does not fit the shape before it; the message has its index.
    """
    for index, layer in enumerate(layers):
        try:
            shape = layer.output_shape(shape)
        except InputError as error:
            raise InputError(f"{argument}[{index}]: {error}") from None
    return shape


def weight_shapes_of(layers: Sequence[Layer], shape: Shape) -> list[dict[str, Any]]:
    """Returns the shapes of each layer's weights."""
    shapes = []
    for layer in layers:
        shapes.append(layer.weight_shapes(shape))
        shape = layer.output_shape(shape)
    return shapes


def nodes_of(
    layers: Sequence[Layer], calls: Sequence[Call], shapes: Sequence[Shape], place: Place = (), draws: int = 0
) -> Iterator[Node]:
    """Returns every call in the order of the forward pass; a layer with parts comes after its parts."""
    shapes_so_far, times = list(shapes), [0] * len(layers)
    for number, (call, before) in enumerate(zip(calls, draws_before(layers, calls), strict=True)):
        layer, here, at = layers[call.layer], (*place, call.layer), (*place, number)
        shape = shape_taken([shapes_so_far[i] for i in call.takes], layer.takes_several)
        drawn = draws + before
        for name, part in layer.parts.items():
            of_part = shape if layer.takes_several else [shape]
            for node in nodes_of(part, calls_of_a_part(len(part), len(of_part)), of_part, (*here, name), drawn):
                yield replace(node, at=(*at, *node.at[len(here) :]))
            drawn += sum(layer.draws for layer in part)
        shapes_so_far.append(layer.output_shape(shape))
        yield Node(here, layer, shape, shapes_so_far[-1], draws + before, at, times[call.layer], call.takes)
        times[call.layer] += 1


def is_part(value: object) -> bool:
    """Whether a value in a layer's dict is a part's list of dicts. A weight may be a list too, but of numbers."""
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def at(nested: Any, place: Place) -> Any:
    """Returns the entry at a place of nested lists, such as parameters, gradients or tensors."""
    for step in place:
        nested = nested[step]
    return nested


def named_weights(nested: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Place, str, Any]]:
    """Yields (place of the layer, name, weight) of nested lists such as parameters.

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
    """Applies a function to each weight of nested lists such as parameters.

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
    """Returns nested lists from each layer's dict of weights, by its place."""
    return [
        {part: placed(inner, by_place, (*place, index, part)) for part, inner in layer.parts.items()}
        or by_place.get((*place, index), {})
        for index, layer in enumerate(layers)
    ]
