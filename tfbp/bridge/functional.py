"""Reads a functional Keras model as calls on tensors: nested models are opened, a layer with two calls is one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfbp.bridge.graph import asks_itself
from tfbp.bridge.layers import is_known_layer, layer_from_keras, takes_of
from tfbp.bridge.masks import Masks, WithMask, first_argument, makes_masks, masked
from tfbp.bridge.opening import Weights, mean_of_rows, opened, separable, unknown
from tfbp.bridge.operations import PASSES, columns, layer_of_operation, passed, patches
from tfbp.bridge.unexpressed import check_model, check_training, said_training
from tfbp.errors import InputError
from tfbp.network import GetItem, Input, Layer, Network, PositionEmbedding, Rescaling, Reshape, Symbol, Tokens
from tfbp.network.graph import layers_of, needed

# composite layers that consist of two known layers
_COMPOSITE = {"SeparableConv1D": separable, "SeparableConv2D": separable, "EmbedReduce": mean_of_rows}


def network_of_graph(
    model: keras.Model, loss: Any, loss_weights: Sequence[float] | None = None
) -> tuple[Network, list[Any]]:
    """Returns the network of a functional model, and the Keras layer of each of its layers, or None.

    Args:
        loss: for one output; for several, a list in their order.
        loss_weights: the factor of each output's loss; 1 by default.

    Raises:
        InputError: inputs of unknown shape, or a layer or an operation that a network cannot express.
    """
    opened = _Opened()
    inputs = [_input(tensor, model) for tensor in model.inputs]
    by_tensor = {id(tensor): symbol for tensor, symbol in zip(model.inputs, inputs, strict=True)}
    for tensor in model.inputs:
        opened.masks.put(tensor, by_tensor.get(id(getattr(tensor, "_keras_mask", None))))
    outputs = opened.outputs(model, inputs)
    masks = [opened.masks.of(tensor) for tensor in graph_of(model).outputs]
    for mask, output in zip(masks, outputs, strict=True):
        if mask is not None and (mask.shape != output.shape[:-1] or not mask.shape):
            got = f"an output of shape {output.shape} with a mask of shape {mask.shape}, which Keras's loss uses"
            raise InputError(f"model: got {got}; accepted: a mask of its rows, or outputs without.")
    used = needed([*outputs, *filter(None, masks)])
    for tensor, symbol in zip(model.inputs, inputs, strict=True):
        if symbol.number not in used:
            got = f"the input {tensor.name!r}, which no output depends on"
            raise InputError(f"model: got {got}; accepted: inputs that are used.")
    one_in, one_out = len(inputs) == 1, len(outputs) == 1
    made = (inputs[0] if one_in else inputs, outputs[0] if one_out else outputs)
    network = Network(*made, loss, loss_weights, masks)
    found = {id(layer): source for layer, source in opened.made.values()}
    sources = [found.get(id(layer)) for layer in layers_of([*outputs, *filter(None, masks)])]
    # a link with another user became a separate layer, the last one
    return network, sources + [None] * (len(network.layers) - len(sources))


class _Opened:
    """Repeats the calls of a model, and of models nested in it, with `tfbp.Input`."""

    def __init__(self) -> None:
        # keyed by the id of the Keras layer; a layer without weights has its own id
        self.made: dict[Any, tuple[Layer, Any]] = {}
        # what the calls of nested models around say
        self.training: Any = None
        self.masks = Masks(self.outputs)

    def outputs(self, model: Any, inputs: Sequence[Symbol]) -> list[Symbol]:
        if isinstance(model, keras.Sequential):
            return self.outputs(model._functional, inputs)
        known: dict[int, Symbol] = {id(tensor): symbol for tensor, symbol in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if isinstance(node.operation, keras.layers.InputLayer) or node.is_input:
                    continue
                # in an opened layer, all calls say that they are in training
                made = self._call(node, known, isinstance(model, keras.Model))
                for tensor, symbol in zip(node.outputs, made, strict=True):
                    known[id(tensor)] = symbol
                if not _is_model(node.operation):
                    self.masks.after(node, known)
        return [known[id(tensor)] for tensor in model.outputs]

    def _nested(self, node: Any, known: Mapping[int, Symbol]) -> list[Symbol]:
        """The calls of a nested model, which masks go through."""
        check_model(node.operation)
        inner = graph_of(node.operation)
        given = inputs_of_call(node)
        masks = keras.tree.flatten(node.arguments.kwargs.get("mask")) or [None]
        for tensor, outer, mask in zip(
            inner.inputs, given, masks * (len(given) if len(masks) == 1 else 1), strict=True
        ):
            self.masks.put(tensor, self.masks.of(outer) if mask is None else known[id(mask)])
        around, said = self.training, said_training(node)
        self.training = around if said is None else said
        made = self.outputs(inner, [known[id(tensor)] for tensor in given])
        self.training = around
        for tensor, ours in zip(inner.outputs, node.outputs, strict=True):
            self.masks.put(ours, self.masks.of(tensor))
        return made

    def _call(self, node: Any, known: Mapping[int, Symbol], is_of_model: bool) -> list[Symbol]:
        operation = node.operation
        if _is_model(operation):
            return self._nested(node, known)
        mask = {id(tensor) for tensor in keras.tree.flatten(node.arguments.kwargs.get("mask"))}
        taken = [known[id(tensor)] for tensor in node.input_tensors if id(tensor) not in mask]
        if isinstance(operation, keras.layers.Masking):
            return [masked(operation, taken[0])]
        if isinstance(operation, WithMask | keras.layers.Identity):
            return taken[:1]
        if not isinstance(operation, keras.layers.Layer):
            if type(operation).__name__ in PASSES:
                return [passed(node, taken[0])]
            if type(operation).__name__ == "ExtractPatches" and len(taken[0].shape) == 3:
                return [patches(node, taken[0])]
            if type(operation).__name__ == "Take" and len(taken) == 1:
                return [columns(node, taken[0])]
            layer, weights = layer_of_operation(node, taken)
            key = id(layer if weights is None else next(iter(weights.weights.values())))
            layer, _ = self.made.setdefault(key, (layer, weights))
            return [self._on(layer, taken, operation.name)]
        beside = self.masks.beside(node, known)
        called_with = {
            name: value
            for name, value in node.arguments.kwargs.items()
            if not isinstance(value, keras.KerasTensor | None) and name not in ("training", "mask", "initial_state")
        }
        if beside:
            called_with["takes"] = tuple(beside)
        if beside or asks_itself(operation):
            taken = [known[id(first_argument(node))], *keras.tree.flatten(list(beside.values()))]
        if called_with.get("reverse") and makes_masks(operation):
            raise InputError(f"model: {operation.name!r}: mask_zero: got True; accepted: False.")
        if called_with.get("reverse"):
            got = f"{operation.name!r} called with reverse=True"
            raise InputError(f"model: got {got}; accepted: as the last layer, where it is the first too.")
        if is_composite(operation) and hasattr(operation, "position_embeddings") and not any(called_with.values()):
            return [self._rows_of_places(operation, taken[0])]
        if is_composite(operation) and id(operation) not in self.made:
            return self._opened(node, taken)
        if id(operation) not in self.made:
            self.made[id(operation)] = layer_from_keras(operation, has_masks=True, **called_with), operation
        layer, _ = self.made[id(operation)]
        said = said_training(node) if is_of_model else None
        check_training(operation, layer, self.training if said is None else said)
        if beside.keys() != set(takes_of(layer)):
            got = f"{operation.name!r} called with {sorted(beside)} and, elsewhere, with {sorted(takes_of(layer))}"
            raise InputError(f"model: got {got}; accepted: the same in all calls.")
        if asks_itself(operation) and not beside:
            return [self._attended(operation, layer, taken[0])]
        y = self._on(layer, taken, operation.name)
        return _states_apart(layer, y) if getattr(layer, "return_state", False) else [y]

    def _rows_of_places(self, embedding: Any, x: Symbol) -> Symbol:
        """The rows alone, as keras-hub's PositionEmbedding returns them: added to zeros."""
        rows = embedding.position_embeddings
        if id(rows) not in self.made:
            weights = Weights(embedding.name, {"embeddings": rows}, embedding.trainable)
            self.made[id(rows)] = PositionEmbedding(rows.shape[0]), weights
        return self._on(self.made[id(rows)][0], [Rescaling(0.0)(x)], embedding.name)

    def _attended(self, attention: Any, layer: Layer, x: Symbol) -> Symbol:
        """Attention over all steps, or over all pixels: the pixels become one sequence, and an image again after it."""
        *sizes, width = x.shape
        every = tuple(range(1, len(sizes) + 1))
        axes = tuple(getattr(attention, "attention_axes", None) or every)
        if axes != every or (len(sizes) > 1 and getattr(layer, "use_causal_mask", False)):
            got = f"attention_axes: got {axes} for inputs of shape {tuple(x.shape)}, or a causal mask"
            raise InputError(f"model: {attention.name!r}: {got}; accepted: attention over all axes, without one.")
        if len(sizes) == 1:
            return self._on(layer, [x], attention.name)
        y = self._on(layer, [Reshape((-1, width))(x)], attention.name)
        return Reshape((*sizes, y.shape[-1]))(y)

    def _opened(self, node: Any, taken: Sequence[Symbol]) -> list[Symbol]:
        """The calls of a composite layer, in the place of its own call."""
        operation = node.operation
        if type(operation).__name__ not in _COMPOSITE:
            of_each = {id(tensor): symbol for tensor, symbol in zip(node.input_tensors, taken, strict=True)}
            try:
                shapes = {key: symbol.shape for key, symbol in of_each.items()}
                return self.outputs(opened(operation, node.arguments, shapes), list(of_each.values()))
            except InputError:
                # an unknown part inside: the error names the layer that the model shows
                raise unknown(operation) from None
        if len(taken) != 1:
            raise unknown(operation)
        made = taken[0]
        for number, (part, weights) in enumerate(_COMPOSITE[type(operation).__name__](operation)):
            key = (id(operation), number)
            if key not in self.made:
                self.made[key] = layer_from_keras(part), weights
            made = self._on(self.made[key][0], [made], operation.name)
        return [made]

    @staticmethod
    def _on(layer: Layer, taken: Sequence[Symbol], name: str) -> Symbol:
        try:
            return layer(*taken)
        except InputError as error:
            raise InputError(f"model: {name!r}: {error}") from None


def _states_apart(layer: Any, y: Symbol) -> list[Symbol]:
    """A recurrence's output and its last states, which it returns in one."""
    steps = y.shape[0] - layer.states
    first = GetItem((slice(0, steps),)) if layer.return_sequences else GetItem((0,))
    return [first(y), *(GetItem((steps + number,))(y) for number in range(layer.states))]


def inputs_of_call(node: Any) -> list[Any]:
    """The tensors that a call of a nested model takes, in the order of the model's inputs."""
    given, model = first_argument(node), graph_of(node.operation)
    if isinstance(given, Mapping) and not isinstance(model._inputs_struct, Mapping):
        return [given[tensor._keras_history.operation.name] for tensor in model.inputs]
    return keras.tree.flatten(given)


def graph_of(model: Any) -> Any:
    """Returns the functional model of a Sequential one, or the model itself."""
    return model._functional if isinstance(model, keras.Sequential) else model


def _is_model(operation: Any) -> bool:
    return isinstance(operation, keras.Sequential) or hasattr(operation, "_nodes_by_depth")


def is_composite(keras_layer: Any) -> bool:
    """Whether a Keras layer is not of a network's kinds, so that it has to be opened."""
    return type(keras_layer).__name__ in _COMPOSITE or not is_known_layer(keras_layer)


def _input(tensor: Any, model: Any) -> Symbol:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise InputError(f"model: got inputs of shape {shape}; accepted: inputs whose shape is known.")
    table = _table(tensor)
    return Input(shape) if table is None or len(shape) != 1 else Input(Tokens(shape[0], table.input_dim))


def _table(tensor: Any) -> Any:
    """Returns the embedding that looks an input up, also in a nested model or a composite layer; None without."""
    for node in tensor._keras_history.operation._outbound_nodes:
        if isinstance(node.operation, keras.layers.Embedding):
            return node.operation
        if _is_model(node.operation) and any(each is tensor for each in node.input_tensors):
            inner = graph_of(node.operation).inputs
            pairs = zip(node.input_tensors, inner, strict=True)
            tables = [_table(within) for outer, within in pairs if outer is tensor]
            if any(tables):
                return next(filter(None, tables))
        elif isinstance(node.operation, keras.Layer) and "int" in tensor.dtype and is_composite(node.operation):
            inside = [each for each in node.operation._flatten_layers() if isinstance(each, keras.layers.Embedding)]
            if inside:
                return inside[0]
    return None
