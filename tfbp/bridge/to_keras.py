"""Keras models from networks and their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from tfbp.bridge.layers import layer_to_keras, weights_of
from tfbp.bridge.masks import WithMask
from tfbp.bridge.models import at_place
from tfbp.errors import InputError, check_choice
from tfbp.network import Layer, Network, Place, Residual, named_weights
from tfbp.network.validation import check_parameters

_FLOATS = ("float64", "float32", "bfloat16", "float16")


def to_keras(
    network: Network, parameters: Sequence[Mapping[str, Any]], dtype: str = "float32", layers: Any = keras.layers
) -> Any:
    """Returns a `keras.Sequential` with these parameters; in each mode its predictions equal the network's bits.

    With a `Residual` or a tied last layer it is a Functional model.

    Args:
        parameters: one dict per layer, as `Network.init` returns them.
        dtype: "float64", "float32", "bfloat16" or "float16".
        layers: the module of the layers: keras.layers, or `tfbp.layers` with a hand-written backward.

    Raises:
        InputError: parameters that do not fit, an unknown dtype, or layers without a Keras Dense.

    Example:
        >>> from tfbp.network import Dense
        >>> network = Network(4, [Dense(3, "relu"), Dense(2)], "mean_squared_error")
        >>> network.to_keras(network.init(seed=0)).output_shape
        (None, 2)
    """
    check_parameters(network, parameters)
    check_choice("dtype", dtype, _FLOATS)
    dense = getattr(layers, "Dense", None)
    if not (isinstance(dense, type) and issubclass(dense, keras.layers.Dense)):
        raise InputError(f"layers: got {getattr(layers, '__name__', layers)!r}; accepted: keras.layers or tfbp.layers.")
    keras_layers = _made(network, dtype, layers)
    each_input = [
        keras.Input(shape, dtype=dtype if tokens is None else "int32")
        for shape, tokens in zip(network.input_shapes, network.input_tokens, strict=True)
    ]
    inputs = each_input[0]
    if not network.is_chain:
        outputs = _graph_called(network, keras_layers, each_input, dtype)
        model = keras.Model(each_input if len(each_input) > 1 else inputs, outputs if len(outputs) > 1 else outputs[0])
    elif network.tied or any(isinstance(n.layer, Residual) or not n.layer.is_called_plainly for n in network.nodes):
        model = keras.Model(inputs, _called(network.layers, keras_layers, inputs, dtype))
    else:
        model = keras.Sequential([inputs, *(keras_layers[index,] for index in range(len(network.layers)))])
    for place, name, w in named_weights(parameters):
        weights_of(at_place(network, place), keras_layers[place])[name].assign(np.asarray(w))
        if hasattr(keras_layers[place], "finalize_state"):
            # the values that an adapted layer computes with
            keras_layers[place].finalize_state()
    return model


def _graph_called(network: Network, made: Mapping[Place, Any], inputs: Sequence[Any], dtype: str) -> list[Any]:
    """Repeats the network's calls with Keras layers, in their order, on Keras tensors. Returns the outputs."""
    tensors = list(inputs)
    for call in network.calls:
        layer = network.layers[call.layer]
        taken = [tensors[i] for i in call.takes]
        if isinstance(layer, Residual):
            tensors.append(_called([layer], _at_zero(made, call.layer), taken[0], dtype))
        else:
            tensors.append(layer.in_keras(made[call.layer,], taken if layer.takes_several else taken[0]))
    outputs = [tensors[end] for end in network.ends]
    masks = [None if mask is None else tensors[mask] for mask in network.loss_masks]
    return [y if m is None else WithMask(dtype=dtype)([y, m]) for y, m in zip(outputs, masks, strict=True)]


def _at_zero(made: Mapping[Place, Any], index: int) -> dict[Place, Any]:
    """Returns the Keras layers of one layer with parts, as those of a chain's first layer."""
    return {(0, *place[1:]): layer for place, layer in made.items() if place[0] == index}


def _made(network: Network, dtype: str, room: Any) -> dict[Place, Any]:
    """Returns the Keras layer of each layer by its place; for a wrapper's parts, the layers that it made."""
    keras_layers: dict[Place, Any] = {}
    # parts come before the layer that has them
    for node in [node for node in network.nodes if not node.calls_before]:
        if network.tied and node.place == (len(network.layers) - 1,):
            keras_layers[node.place] = partial(keras_layers[0,], reverse=True)
        elif node.layer.is_operation:
            keras_layers[node.place] = None
        elif not isinstance(node.layer, Residual):
            is_table = network.tied and node.place == (0,)
            keras_layers[node.place] = layer_to_keras(
                node.layer, dtype, room, "ReversibleEmbedding" if is_table else ""
            )
            keras_layers.update(
                {(*node.place, part, 0): getattr(keras_layers[node.place], part) for part in node.layer.parts}
            )
    return keras_layers


def _called(layers: Sequence[Layer], made: Mapping[Place, Any], x: Any, dtype: str, place: Place = ()) -> Any:
    """Calls the chain's Keras layers on a Keras tensor; a `Residual` is an addition."""
    for index, layer in enumerate(layers):
        here = (*place, index)
        if isinstance(layer, Residual):
            branches = {name: _called(part, made, x, dtype, (*here, name)) for name, part in layer.parts.items()}
            x = keras.layers.Add(dtype=dtype)([branches.get("projection", x), branches["layers"]])
        else:
            x = layer.in_keras(made[here], x)
    return x
