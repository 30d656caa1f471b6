"""Reads a Keras model as calls on numbered tensors: nested models are opened, a layer may have several calls.

The inputs are the first tensors; each call makes the next ones. What is no functional model is one call of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfbp.bridge.functional import graph_of, inputs_of_call
from tfbp.errors import InputError


@dataclass(frozen=True)
class Call:
    """One call of an operation.

    Attributes:
        name: as reports have it: the layer's name, with "again" where it was called before.
        operation: the user's own Keras layer, or an operation such as the one of x + y.
        arguments: (args, kwargs), with a `Slot` in the place of each tensor.
        takes: the numbers of the tensors that it takes, each once.
        makes: the numbers of its outputs.
        shapes: the outputs' shapes, without the batch.
        calls_before: the number of earlier calls of the operation.
    """

    name: str
    operation: Any
    arguments: tuple[Any, Any]
    takes: tuple[int, ...]
    makes: tuple[int, ...]
    calls_before: int = 0

    @property
    def is_layer(self) -> bool:
        return isinstance(self.operation, keras.Layer)

    @property
    def kind(self) -> str:
        return type(self.operation).__name__

    def filled(self, tensors: Sequence[Any]) -> tuple[Any, Any]:
        """Returns the arguments with tensors, one for each of `takes`."""
        known = dict(zip(self.takes, tensors, strict=True))

        def fill(leaf: Any) -> Any:
            return known[leaf.number] if isinstance(leaf, Slot) else leaf

        return keras.tree.map_structure(fill, self.arguments)

    def __call__(self, operation: Any, tensors: Sequence[Any], training: bool | None) -> list[Any]:
        """Returns the outputs of the operation, or a copy of it, on these tensors, called as in its model."""
        args, kwargs = self.filled(tensors)
        if self.is_layer and "training" in getattr(operation, "_call_context_args", {}):
            # Keras replaces a mask from the model's construction, too
            kwargs = {**kwargs, "training": training}
        return keras.tree.flatten(operation(*args, **kwargs))


@dataclass(frozen=True)
class Slot:
    """The place of a tensor in the arguments of a call."""

    number: int


@dataclass(frozen=True)
class Opened:
    """A model's calls in their order.

    Attributes:
        inputs: the Keras tensors, or arrays' shapes, that it takes; tensors 0 to n - 1.
        outputs: the numbers of its outputs.
        names: of each tensor.
        output_names: of its outputs, as a dict of losses has them.
    """

    model: Any
    inputs: int
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]
    names: tuple[str, ...]
    output_names: tuple[str, ...]

    @property
    def layers(self) -> list[Any]:
        """The Keras layers that it calls, each once."""
        return list({id(call.operation): call.operation for call in self.calls if call.is_layer}.values())

    def takers(self, number: int) -> list[int]:
        """Returns the indices of the calls that take a tensor."""
        return [index for index, call in enumerate(self.calls) if number in call.takes]

    def calls_of(self, operation: Any) -> list[int]:
        """Returns the indices of the calls of an operation."""
        return [index for index, call in enumerate(self.calls) if call.operation is operation]


def is_functional(model: Any) -> bool:
    """Whether a model is a graph of calls, without code of its own."""
    graph_call = "Sequential.call" if isinstance(model, keras.Sequential) else "Functional.call"
    return type(model).call.__qualname__ == graph_call


def opened(model: Any, arrays: Sequence[Any]) -> Opened:
    """Returns the calls of a built model.

    Args:
        arrays: its inputs, flat; their number is the number of inputs of a model that is not a graph.

    Raises:
        InputError: something that is not a Keras model, or an unbuilt one.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"model: got {type(model).__name__}; accepted: a built keras.Model.")
    if not model.built or (isinstance(model, keras.Sequential) and getattr(model, "_functional", None) is None):
        raise InputError(
            f"model: got {model.name!r}, which is not built; accepted: one with a keras.Input, or called once."
        )
    if not is_functional(model):
        slots = [Slot(i) for i in range(len(arrays))]
        given = slots[0] if len(slots) == 1 else slots
        call = Call(model.name, model, ((given,), {}), tuple(range(len(arrays))), (len(arrays),))
        inputs = tuple(f"input {i}" for i in range(len(arrays)))
        return Opened(model, len(arrays), (call,), call.makes, (*inputs, model.name), (model.name,))
    walk = _Walk([tensor.name for tensor in model.inputs])
    outputs = walk.through(model, list(range(len(model.inputs))))
    names = (model._functional if isinstance(model, keras.Sequential) else model).output_names
    return Opened(model, len(model.inputs), tuple(walk.calls), tuple(outputs), tuple(walk.names), tuple(names))


class _Walk:
    """Returns the calls of a model and of those nested in it."""

    def __init__(self, inputs: list[str]) -> None:
        self.calls: list[Call] = []
        self.names = list(inputs)
        self._times: dict[int, int] = {}

    def through(self, model: Any, inputs: Sequence[int]) -> list[int]:
        """Returns the numbers of a model's outputs, from its inputs' numbers."""
        graph = graph_of(model)
        known = {id(tensor): number for tensor, number in zip(graph.inputs, inputs, strict=True)}
        for node in _nodes(graph):
            for tensor, number in zip(node.outputs, self._call(node, known), strict=True):
                known[id(tensor)] = number
        return [known[id(tensor)] for tensor in graph.outputs]

    def _call(self, node: Any, known: dict[int, int]) -> list[int]:
        operation = node.operation
        if isinstance(operation, keras.Model) and is_functional(operation):
            # masks go with the tensors
            return self.through(operation, [known[id(tensor)] for tensor in inputs_of_call(node)])

        def slot(leaf: Any) -> Any:
            return Slot(known[id(leaf)]) if isinstance(leaf, keras.KerasTensor) else leaf

        arguments = keras.tree.map_structure(slot, (node.arguments.args, node.arguments.kwargs))
        before = self._times.get(id(operation), 0)
        self._times[id(operation)] = before + 1
        name = operation.name + ("" if not before else " again" if before == 1 else f" again ({before + 1})")
        makes = list(range(len(self.names), len(self.names) + len(node.outputs)))
        self.names += [name] if len(makes) == 1 else [f"{name}[{i}]" for i in range(len(makes))]
        takes = tuple(dict.fromkeys(known[id(tensor)] for tensor in node.input_tensors))
        self.calls.append(Call(name, operation, arguments, takes, tuple(makes), before))
        return makes


def _nodes(graph: Any) -> Iterator[Any]:
    """Returns the calls of a functional model, each after those that make its inputs."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.operation and not node.is_input and not isinstance(node.operation, keras.layers.InputLayer):
                yield node


def with_mask(tensor: Any, mask: Any) -> Any:
    """Returns a tensor with a mask attached, as Keras passes it on; the tensor itself without a mask."""
    if mask is None:
        return tensor
    tensor = tf.identity(tensor)
    tensor._keras_mask = mask
    return tensor


def mask_of(tensor: Any) -> Any:
    """Returns the mask attached to a tensor."""
    return getattr(tensor, "_keras_mask", None)


def masks_taken_off(call: Call, given: Sequence[Any], tensors: Any) -> None:
    """Takes the masks off a model's tensors, by number, that a call took off its copies of them, as attention does."""
    for number, copy in zip(call.takes, given, strict=True):
        if mask_of(copy) is None and mask_of(tensors[number]) is not None:
            tensors[number]._keras_mask = None
