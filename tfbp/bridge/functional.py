"""A functional Keras model as calls on tensors: nested models are opened, a layer that is called twice is one layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfbp.bridge.graph import asks_itself
from tfbp.bridge.layers import layer_from_keras
from tfbp.errors import InputError
from tfbp.network import (
    Add,
    Concatenate,
    Input,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    Network,
    Rescaling,
    Subtract,
    Symbol,
    Tokens,
)
from tfbp.network.graph import layers_of

# the operations of `x + y` and its like between Keras tensors, by the names of their classes
_OPERATIONS: dict[str, Callable[[], Layer]] = {
    "Add": Add,
    "Subtract": Subtract,
    "Multiply": Multiply,
    "Maximum": Maximum,
    "Minimum": Minimum,
}
# and with a number: (scale, offset) of the tensor, where it is the first, and where it is the second
_WITH_A_NUMBER: dict[str, tuple[Callable[[float], Any], Callable[[float], Any]]] = {
    "Add": (lambda c: (1.0, c), lambda c: (1.0, c)),
    "Subtract": (lambda c: (1.0, -c), lambda c: (-1.0, c)),
    "Multiply": (lambda c: (c, 0.0), lambda c: (c, 0.0)),
    "TrueDivide": (lambda c: (1 / c, 0.0), lambda c: None),
    "Divide": (lambda c: (1 / c, 0.0), lambda c: None),
    "Negative": (lambda c: (-1.0, 0.0), lambda c: None),
}


def network_of_graph(model: keras.Model, loss: Any) -> tuple[Network, list[Any]]:
    """The network of a functional model, and the Keras layer that each of its layers comes from, or None.

    Args:
        loss: of one output; of several a list in their order, or a dict by their names.

    Raises:
        InputError: inputs of unknown shape, a layer or an operation that a network cannot express, or a loss that names
            no output.
    """
    opened = _Opened()
    inputs = [_input(tensor, model) for tensor in model.inputs]
    outputs = opened.outputs(model, inputs)
    names = list(getattr(model, "output_names", ["output"]))
    if isinstance(loss, Mapping):
        if set(loss) != set(names):
            raise InputError(f"loss: got losses of {sorted(loss)}; accepted: one for each of {sorted(names)}.")
        loss = [loss[name] for name in names]
    one_in, one_out = len(inputs) == 1, len(outputs) == 1
    if one_out and isinstance(loss, list | tuple) and len(loss) == 1:
        (loss,) = loss
    network = Network(inputs[0] if one_in else inputs, outputs[0] if one_out else outputs, loss)
    found = {id(layer): source for layer, source in opened.made.values()}
    sources = [found.get(id(layer)) for layer in layers_of(outputs)]
    # a link that others take, too, became a layer of its own, the last
    return network, sources + [None] * (len(network.layers) - len(sources))


class _Opened:
    """The calls of a model and of those nested in it, as they are written again with `tfbp.Input`."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Layer, Any]] = {}

    def outputs(self, model: Any, inputs: Sequence[Symbol]) -> list[Symbol]:
        if isinstance(model, keras.Sequential):
            return self.outputs(model._functional, inputs)
        known = {id(tensor): symbol for tensor, symbol in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if isinstance(node.operation, keras.layers.InputLayer) or node.is_input:
                    continue
                taken = [known[id(tensor)] for tensor in node.input_tensors]
                for tensor, symbol in zip(node.outputs, self._call(node, taken), strict=True):
                    known[id(tensor)] = symbol
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(self, node: Any, taken: Sequence[Symbol]) -> list[Symbol]:
        operation = node.operation
        if isinstance(operation, keras.Sequential) or hasattr(operation, "_nodes_by_depth"):
            return self.outputs(operation, taken)
        if not isinstance(operation, keras.layers.Layer):
            return [_operation(node, taken)]
        numbers = dict(node.arguments.kwargs)
        called_with = {
            name: value
            for name, value in numbers.items()
            if not isinstance(value, keras.KerasTensor | None) and name not in ("training", "mask")
        }
        if asks_itself(operation):
            if any(each is not taken[0] for each in taken):
                got = f"{operation.name!r} with different tensors as query, value and key"
                raise InputError(f"model: got {got}; accepted: one tensor.")
            taken = taken[:1]
        if called_with.get("reverse"):
            got = f"{operation.name!r} called with reverse=True"
            raise InputError(f"model: got {got}; accepted: as the last layer, where it is the first too.")
        if id(operation) not in self.made:
            self.made[id(operation)] = layer_from_keras(operation, **called_with), operation
        layer, _ = self.made[id(operation)]
        try:
            return [layer(*taken)]
        except InputError as error:
            raise InputError(f"model: {operation.name!r}: {error}") from None


def _operation(node: Any, taken: Sequence[Symbol]) -> Symbol:
    """The result of an operation such as x + y."""
    kind = type(node.operation).__name__
    if len(taken) == 2 and kind in _OPERATIONS:
        return _OPERATIONS[kind]()(*taken)
    arguments = [*node.arguments.args, *node.arguments.kwargs.values()]
    numbers = [each for each in arguments if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(taken) == 1 and kind in _WITH_A_NUMBER and len(numbers) == (kind != "Negative"):
        is_first = isinstance(arguments[0], keras.KerasTensor)
        scaled = _WITH_A_NUMBER[kind][not is_first](float(numbers[0]) if numbers else 0.0)
        if scaled is not None:
            return Rescaling(*scaled)(*taken)
    if kind == "Concatenate" and len(taken) > 1:
        return Concatenate(getattr(node.operation, "axis", -1))(*taken)
    accepted = ", ".join([*_OPERATIONS, *(name for name in _WITH_A_NUMBER if name not in _OPERATIONS)])
    raise InputError(f"model: got the operation {kind} ({node.operation.name!r}); accepted: {accepted}.")


def _input(tensor: Any, model: Any) -> Symbol:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise InputError(f"model: got inputs of shape {shape}; accepted: inputs whose shape is known.")
    table = _table(tensor)
    return Input(shape) if table is None or len(shape) != 1 else Input(Tokens(shape[0], table.input_dim))


def _table(tensor: Any) -> Any:
    """The embedding that looks an input up; None where none does."""
    layer = tensor._keras_history.operation
    nodes = [node for each in getattr(layer, "_outbound_nodes", ()) for node in [each]]
    tables = [node.operation for node in nodes if isinstance(node.operation, keras.layers.Embedding)]
    return tables[0] if tables else None
