"""Reads a Keras model as a chain of layers and residual blocks, where it adds two paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from tfbp.bridge.unexpressed import check_code
from tfbp.errors import InputError


@dataclass(frozen=True)
class Called:
    """Attention with more than tensors in its call: use_causal_mask=True."""

    layer: Any
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reversed:
    """The second call of a ReversibleEmbedding, from its width to its rows."""

    layer: Any


@dataclass(frozen=True)
class Sum:
    """An addition of two paths from one tensor; an empty path is the tensor itself."""

    layers: list[Any]
    projection: list[Any]


def chain_of(model: keras.Model) -> list[Any]:
    """Returns the Keras layers from a model's input to its output, with a `Sum` where two paths are added.

    The last one is a `Reversed` where the first layer is an embedding that is called again with reverse=True.

    Raises:
        InputError: several inputs or outputs, any other layer that is used twice, or one with several inputs that is no
            addition of two paths from one tensor.
    """
    if isinstance(model, keras.Sequential):
        return list(model.layers)
    for name, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise InputError(f"model: got a model of {len(tensors)} {name}; accepted: one of each.")
    path = _path(model.outputs[0], {})
    chain = [_called(*layer) for layer in path]
    if not chain:
        raise InputError("model: got one whose output is its input; accepted: a model of layers.")
    is_tied = isinstance(chain[-1], Reversed) and chain[0] is chain[-1].layer
    used = _used(chain[:-1] if is_tied else chain)
    if twice := {layer.name for layer in used if sum(layer is other for other in used) > 1}:
        raise InputError(f"model: got the layer {min(twice)!r} in two places; accepted: each layer once.")
    return chain


def _called(layer: Any, tensor: Any) -> Any:
    """Returns the layer; with the arguments of its call, where the call had more than tensors."""
    is_reversible = isinstance(layer, keras.layers.ReversibleEmbedding)
    if not is_reversible and not asks_itself(layer):
        return layer
    call = layer._inbound_nodes[tensor._keras_history[1]].arguments
    if is_reversible:
        return Reversed(layer) if call.kwargs.get("reverse") else layer
    plain = {name: value for name, value in call.kwargs.items() if not isinstance(value, keras.KerasTensor | None)}
    return Called(layer, plain) if plain else layer


def _path(tensor: Any, known: dict[int, Any]) -> list[tuple[Any, Any]]:
    """Returns (layer, output tensor) from the model's input to a tensor."""
    if id(tensor) in known:
        return known[id(tensor)]
    layer, index, _ = tensor._keras_history
    inputs = layer._inbound_nodes[index].input_tensors
    if isinstance(layer, keras.layers.InputLayer):
        path = []
    elif len(inputs) == 1 or (asks_itself(layer) and all(tensor is inputs[0] for tensor in inputs)):
        path = [*_path(inputs[0], known), (layer, tensor)]
    else:
        path = _added(layer, tensor, [_path(tensor, known) for tensor in inputs])
    known[id(tensor)] = path
    return path


def asks_itself(layer: Any) -> bool:
    """Whether the layer is attention with one tensor as query, value and key."""
    return isinstance(layer, keras.layers.MultiHeadAttention | keras.layers.GroupQueryAttention)


def _added(layer: Any, tensor: Any, paths: list[Any]) -> list[tuple[Any, Any]]:
    check_code(layer)
    if not isinstance(layer, keras.layers.Add) or len(paths) != 2:
        kind = type(layer).__name__
        raise InputError(f"model: got {kind} {layer.name!r} with {len(paths)} inputs; accepted: Add with two.")
    one, other = paths
    shared = 0
    while shared < min(len(one), len(other)) and one[shared][1] is other[shared][1]:
        shared += 1
    branches = sorted(([_called(*layer) for layer in path[shared:]] for path in paths), key=len, reverse=True)
    if not branches[0]:
        raise InputError(f"model: got Add {layer.name!r} of a tensor and itself; accepted: of two paths.")
    return [*one[:shared], (Sum(*branches), tensor)]


def _used(layers: Any) -> list[Any]:
    layers_used: list[Any] = []
    for layer in layers:
        if isinstance(layer, Sum):
            layers_used += [*_used(layer.layers), *_used(layer.projection)]
        elif isinstance(layer, Reversed):
            raise InputError(
                f"model: got {layer.layer.name!r} called with reverse=True; accepted: as the last layer, where it "
                "is the first too."
            )
        else:
            layers_used.append(layer.layer if isinstance(layer, Called) else layer)
    return layers_used
