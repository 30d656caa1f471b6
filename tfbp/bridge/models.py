"""Networks and their parameters from Keras models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfbp.bridge.functional import is_composite, network_of_graph
from tfbp.bridge.graph import Called, Reversed, Sum, chain_of
from tfbp.bridge.layers import layer_from_keras, weights_of
from tfbp.bridge.losses import check_logits, given_losses, losses_of
from tfbp.bridge.masks import makes_masks
from tfbp.bridge.unexpressed import check_model, check_trained, said_training
from tfbp.errors import InputError
from tfbp.network import (
    ActivationLayer,
    Embedding,
    Layer,
    LinearCrossEntropy,
    Network,
    Normalization,
    Parameters,
    Place,
    Residual,
    Tokens,
    placed,
)
from tfbp.vocabulary import Activation

# the end of an error: other ways for a model that a network cannot express
OTHER_WAYS = "tfbp.fit trains this model as it is; tfbp.layers.swap accepts it too."
# and for one that cannot be copied layer by layer
FIT_ALONE = "tfbp.fit trains this model as it is."


def from_keras(model: keras.Model, loss: Any = None) -> tuple[Network, Parameters]:
    """Returns the network and parameters of a built Sequential or Functional model.

    Args:
        model: layers of the kinds of `tfbp.network`, and Activation, ReLU, LeakyReLU, ELU and Softmax layers; one
            of these after a layer with a linear activation becomes that layer's activation. An Add of two paths
            from one tensor is a `Residual`. A second call of a first layer ReversibleEmbedding, as the last call,
            is a tied `LinearCrossEntropy`. Any other Functional model is a graph, with several inputs and outputs,
            shared layers, merges, nested models, and operations such as `x + y` and `2 * x`. A layer of an unknown
            kind is opened: the layers and operations in its call become part of the graph.
        loss: a name, a `tfbp.Loss` or a Keras loss; for several outputs a list in their order, or a dict by name. By
            default the loss in `compile`, with its loss_weights.

    Returns:
        The network, and its parameters as float64 arrays with exactly the model's values.

    Raises:
        InputError: an unbuilt model, unknown shapes, or a layer or an argument that a network cannot express, such as
            trainable=False.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
        >>> network, parameters = Network.from_keras(model, "sparse_categorical_crossentropy")
        >>> network.layers[0].activation.name, parameters[1]["kernel"].shape
        ('relu', (3, 2))
    """
    network, sources = network_and_sources(model, loss)
    found = [(at_place(network, place), keras_layer) for place, keras_layer in sources.items()]
    named = [(layer, keras_layer, weights_of(layer, keras_layer)) for layer, keras_layer in found]
    check_trained(model, [weight for weight in named if not isinstance(weight[0], Normalization)])
    return network, parameters_of(network, sources)


def parameters_of(network: Network, sources: Mapping[Place, Any]) -> Parameters:
    """Returns the values of the Keras layers behind a network, in float64."""
    values = {
        place: {name: np.asarray(w).astype(np.float64) for name, w in _values(network, place, keras_layer).items()}
        for place, keras_layer in sources.items()
    }
    return placed(network.layers, values)


def network_and_sources(model: keras.Model, loss: Any) -> tuple[Network, dict[Place, Any]]:
    """Returns the network of a Keras model, and the Keras layer of each of its layers, by its place."""
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        kind = f"{type(model).__name__} {getattr(model, 'name', model)!r}"
        way_out = f" {FIT_ALONE}" if isinstance(model, keras.Model) else ""
        raise InputError(f"model: got {kind}; accepted: a keras.Sequential, or a Functional keras.Model.{way_out}")
    check_model(model)
    if not model.built or not model.layers:
        raise InputError("model: got a model that is not built; accepted: one with a keras.Input or a first call.")
    try:
        chain = _chain_or_none(model)
        if chain is None:
            return _graph_and_sources(model, loss)
        shape = tuple(model.input_shape[1:])
        if None in shape:
            raise InputError(f"model: got inputs of shape {shape}; accepted: inputs of a known shape.")
        sources: dict[Place, Any] = {}
        layers = _layers_of(chain, sources, ())
    except InputError as error:
        ways = FIT_ALONE if "a call of its own" in str(error) else OTHER_WAYS
        raise InputError(f"{error} {ways}") from None
    first = layers[0]
    inputs = Tokens(shape[0], first.input_dim) if isinstance(first, Embedding) and len(shape) == 1 else shape
    loss, from_logits, weights = _losses_or_compiled(model, loss)
    network = Network(inputs, layers, loss).weighted(weights or [1.0])
    check_logits(network, *from_logits)
    return network, sources


def _losses_or_compiled(model: keras.Model, loss: Any) -> tuple[Any, list[bool | None], list[float] | None]:
    """Returns losses as a network takes them, whether each takes logits, and their weights."""
    if loss is not None:
        return *given_losses(model, loss), None
    compiled, weights = losses_of(model)
    losses = [one for one, _ in compiled]
    return losses if len(losses) > 1 else losses[0], [takes_logits for _, takes_logits in compiled], weights


def _chain_or_none(model: keras.Model) -> list[Any] | None:
    """Returns the layers of a model that is a chain with additions; None for any other graph."""
    parts = model.layers if isinstance(model, keras.Sequential) else model.operations
    if any(isinstance(part, keras.Model) or not isinstance(part, keras.layers.Layer) for part in parts):
        return None
    kinds = [part for part in parts if not isinstance(part, keras.layers.InputLayer)]
    if any(is_composite(part) or len(getattr(part, "attention_axes", None) or ()) > 1 for part in kinds):
        return None
    if any(makes_masks(part) or getattr(part, "return_state", False) for part in kinds):
        return None
    if any(said_training(node) is not None for part in kinds for node in part._inbound_nodes):
        return None
    try:
        return chain_of(model)
    except InputError:
        return None


def _graph_and_sources(model: keras.Model, loss: Any) -> tuple[Network, dict[Place, Any]]:
    """Returns the same for a model that is not a chain with additions."""
    loss, from_logits, weights = _losses_or_compiled(model, loss)
    network, found = network_of_graph(model, loss, weights)
    check_logits(network, *from_logits)
    sources: dict[Place, Any] = {}
    for index, (layer, source) in enumerate(zip(network.layers, found, strict=True)):
        if source is not None:
            parts: dict[Place, Any] = {(index, part, 0): getattr(source, part) for part in layer.parts}
            sources.update(parts or {(index,): source})
    return network, sources


def _values(network: Network, place: Place, keras_layer: Any) -> dict[str, Any]:
    """Returns the weights of a Keras layer, by the network's names."""
    node = next(node for node in network.nodes if node.place == place)
    if isinstance(node.layer, Normalization):
        # a Normalization's statistics, passed or adapted, are attributes only
        shape, mean = node.layer.weight_shapes(node.input_shape)["mean"], np.asarray(keras_layer.mean)
        if mean.size not in (1, *mean.shape[-1:]):
            raise InputError(
                f"model: got {keras_layer.name!r} with axis={keras_layer.axis}; accepted: -1, the last axis."
            )
        return {name: np.broadcast_to(np.ravel(getattr(keras_layer, name)), shape) for name in ("mean", "variance")}
    return weights_of(node.layer, keras_layer)


def _layers_of(chain: Sequence[Any], sources: dict[Place, Any], place: Place) -> list[Layer]:
    layers: list[Layer] = []
    for item in chain:
        here = (*place, len(layers))
        if isinstance(item, Sum):
            parts = {name: _layers_of(getattr(item, name), sources, (*here, name)) for name in ("layers", "projection")}
            layers.append(Residual(parts["layers"], parts["projection"] or None))
            continue
        if isinstance(item, Reversed):
            # a new Activation layer has no weights, and so no source
            layers.append(LinearCrossEntropy(item.layer.input_dim, use_bias=False, tied=True))
            continue
        item, called_with = (item.layer, item.arguments) if isinstance(item, Called) else (item, {})
        layer = layer_from_keras(item, **called_with)
        if isinstance(layer, ActivationLayer) and layers and _takes_activation(layers[-1]):
            layers[-1] = dataclasses.replace(layers[-1], activation=layer.activation)  # type: ignore[type-var]
        else:
            layers.append(layer)
            sources.update({(*here, part, 0): getattr(item, part) for part in layer.parts} or {here: item})
    return layers


def dtype_policy_of(model: keras.Model) -> Any:
    """Returns the dtype policy that the layers of a Keras model share.

    Raises:
        InputError: layers of different policies.
    """
    policies = {layer.dtype_policy.name: layer.dtype_policy for layer in model.layers if layer.weights}
    if len(policies) > 1:
        raise InputError(f"model: got layers of {' and '.join(policies)}; accepted: one dtype policy for all.")
    return next(iter(policies.values()), model.dtype_policy)


def _takes_activation(layer: Layer) -> bool:
    """Whether an Activation after the layer may become its own: the layer's is linear, and applied by the chain."""
    own = getattr(layer, "activation", None)
    return not isinstance(layer, ActivationLayer) and own == Activation("linear") and layer.applied_activation is own


def at_place(network: Network, place: Place) -> Layer:
    """Returns the layer of a network at a place."""
    return next(node.layer for node in network.nodes if node.place == place)
