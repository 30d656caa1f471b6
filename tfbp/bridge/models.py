"""Between `tfbp.Network` and Keras: initial parameters, and whole models both ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfbp.bridge.activations import KerasActivation as KerasActivation
from tfbp.bridge.graph import Called, Reversed, Sum, chain_of
from tfbp.bridge.layers import layer_from_keras, layer_to_keras, weights_of
from tfbp.errors import InputError, check_choice
from tfbp.network import (
    ActivationLayer,
    Embedding,
    Layer,
    LinearCrossEntropy,
    Network,
    Parameters,
    Place,
    Residual,
    Tokens,
    named_weights,
    placed,
)
from tfbp.network.validation import check_parameters
from tfbp.vocabulary import Activation, Loss

if TYPE_CHECKING:
    pass

_FLOATS = ("float64", "float32", "bfloat16", "float16")


def from_keras(sequential: keras.Model, loss: str | Loss) -> tuple[Network, Parameters]:
    """The network and parameters of a built Sequential, or of a Functional model that is a chain with additions.

    Args:
        sequential: layers of the kinds of `tfbp.network`, and Activation, ReLU, LeakyReLU, ELU and Softmax layers; one
            of these after a layer with a linear activation becomes that layer's own. An Add of two paths from one
            tensor is a `Residual`, and the second call of the first layer, a ReversibleEmbedding, as the last a tied
            `LinearCrossEntropy`.
        loss: the loss that the network is to have.

    Returns:
        The network, and its parameters as float64 arrays holding exactly the model's values.

    Raises:
        InputError: no such model, one that is not built or of unknown shapes, or a layer or option that a network
            cannot express.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
        >>> network, parameters = Network.from_keras(model, "sparse_categorical_crossentropy")
        >>> network.layers[0].activation.name, parameters[1]["kernel"].shape
        ('relu', (3, 2))
    """
    network, sources = network_and_sources(sequential, loss)
    parameters = {
        place: {
            name: np.asarray(w).astype(np.float64)
            for name, w in weights_of(at_place(network, place), keras_layer).items()
        }
        for place, keras_layer in sources.items()
    }
    return network, placed(network.layers, parameters)


def network_and_sources(model: keras.Model, loss: str | Loss) -> tuple[Network, dict[Place, Any]]:
    """The network of a Keras model, and the Keras layer that each of its layers comes from, by its place."""
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise InputError(f"sequential: got {model!r}; accepted: a keras.Sequential, or a Functional keras.Model.")
    if not model.built or not model.layers:
        raise InputError("sequential: got a model that is not built; accepted: one with a keras.Input or a first call.")
    chain = chain_of(model)
    shape = tuple(model.input_shape[1:])
    if None in shape:
        raise InputError(f"sequential: got inputs of shape {shape}; accepted: inputs whose shape is known.")
    sources: dict[Place, Any] = {}
    layers = _layers_of(chain, sources, ())
    first = layers[0]
    inputs = Tokens(shape[0], first.input_dim) if isinstance(first, Embedding) and len(shape) == 1 else shape
    return Network(inputs, layers, loss), sources


def _layers_of(chain: Sequence[Any], sources: dict[Place, Any], place: Place) -> list[Layer]:
    layers: list[Layer] = []
    for each in chain:
        here = (*place, len(layers))
        if isinstance(each, Sum):
            parts = {name: _layers_of(getattr(each, name), sources, (*here, name)) for name in ("layers", "projection")}
            layers.append(Residual(parts["layers"], parts["projection"] or None))
            continue
        if isinstance(each, Reversed):
            # it has no weights of its own, and so no source
            layers.append(LinearCrossEntropy(each.layer.input_dim, use_bias=False, tied=True))
            continue
        each, called_with = (each.layer, each.arguments) if isinstance(each, Called) else (each, {})
        layer = layer_from_keras(each, **called_with)
        if isinstance(layer, ActivationLayer) and layers and _takes_activation(layers[-1]):
            layers[-1] = dataclasses.replace(layers[-1], activation=layer.activation)  # type: ignore[type-var]
        else:
            layers.append(layer)
            sources.update({(*here, part, 0): getattr(each, part) for part in layer.parts} or {here: each})
    return layers


def dtype_policy_of(sequential: keras.Sequential) -> Any:
    """The dtype policy that the layers of a Sequential share.

    Raises:
        InputError: layers of different policies.
    """
    policies = {layer.dtype_policy.name: layer.dtype_policy for layer in sequential.layers if layer.weights}
    if len(policies) > 1:
        raise InputError(f"sequential: got layers of {' and '.join(policies)}; accepted: one dtype policy for all.")
    return next(iter(policies.values()), sequential.dtype_policy)


def to_keras(
    network: Network, parameters: Sequence[Mapping[str, Any]], dtype: str = "float32", layers: Any = keras.layers
) -> Any:
    """A `keras.Sequential` with these parameters; its predictions are the network's, bit for bit in one mode. With a
    `Residual` in the network, or a tied last layer, it is a Functional model.

    Args:
        parameters: one dict per layer, as `Network.init` gives them.
        dtype: "float64", "float32", "bfloat16" or "float16".
        layers: where layers are taken from: keras.layers, or `tfbp.layers`, whose backward is written by hand.

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
        raise InputError(f"layers: got {layers!r}; accepted: keras.layers or tfbp.layers.")
    made = _made(network, dtype, layers)
    inputs = keras.Input(network.input_shape, dtype=dtype if network.tokens is None else "int32")
    if network.tied or any(
        isinstance(n.layer, Residual) or type(n.layer).in_keras is not Layer.in_keras for n in network.nodes
    ):
        model = keras.Model(inputs, _called(network.layers, made, inputs, dtype))
    else:
        model = keras.Sequential([inputs, *(made[index,] for index in range(len(network.layers)))])
    for place, name, w in named_weights(parameters):
        weights_of(at_place(network, place), made[place])[name].assign(np.asarray(w))
    return model


def _made(network: Network, dtype: str, room: Any) -> dict[Place, Any]:
    """The Keras layer of each layer that is one in Keras, by its place; of a wrapper's parts, those that it made."""
    made: dict[Place, Any] = {}
    # parts come before the layer that has them
    for node in network.nodes:
        if network.tied and node.place == (len(network.layers) - 1,):
            made[node.place] = partial(made[0,], reverse=True)
        elif not isinstance(node.layer, Residual):
            is_table = network.tied and node.place == (0,)
            made[node.place] = layer_to_keras(node.layer, dtype, room, "ReversibleEmbedding" if is_table else "")
            made.update({(*node.place, part, 0): getattr(made[node.place], part) for part in node.layer.parts})
    return made


def _called(layers: Sequence[Layer], made: Mapping[Place, Any], x: Any, dtype: str, place: Place = ()) -> Any:
    """The chain's Keras layers called on a Keras tensor; a `Residual` is an addition."""
    for index, layer in enumerate(layers):
        here = (*place, index)
        if isinstance(layer, Residual):
            branches = {name: _called(part, made, x, dtype, (*here, name)) for name, part in layer.parts.items()}
            x = keras.layers.Add(dtype=dtype)([branches.get("projection", x), branches["layers"]])
        else:
            x = layer.in_keras(made[here], x)
    return x


def _takes_activation(layer: Layer) -> bool:
    """Whether an Activation after it may be its own: it has one, linear, that the chain applies to its output."""
    own = getattr(layer, "activation", None)
    return not isinstance(layer, ActivationLayer) and own == Activation("linear") and layer.applied_activation is own


def at_place(network: Network, place: Place) -> Layer:
    """The layer of a network at a place."""
    return next(node.layer for node in network.nodes if node.place == place)
