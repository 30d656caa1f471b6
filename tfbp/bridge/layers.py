"""Converts between a layer of `tfbp.Network` and a Keras layer: its kind, its arguments, its weights' names."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from typing import Any

import keras

from tfbp.bridge.activations import activation_of, activation_of_one_operation, keras_activation
from tfbp.bridge.opening import Weights
from tfbp.bridge.unexpressed import check_arguments, check_code
from tfbp.errors import InputError, likely, one_of
from tfbp.network import (
    ActivationLayer,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNormalization,
    Residual,
    RMSNormalization,
    kinds,
)
from tfbp.vocabulary import ACTIVATIONS, L1L2, Activation

# by Keras's name; a layer with parts is an addition of chains in Keras, not a layer
KINDS: dict[str, type[Layer]] = {name: kind for name, kind in kinds().items() if kind is not Residual}
# ReversibleEmbedding: called forward it is its base class, an Embedding
KINDS["ReversibleEmbedding"] = Embedding
# layers that act on each step alone, so that TimeDistributed changes nothing
_OF_EACH_STEP = (Dense, ActivationLayer, LayerNormalization, RMSNormalization)
# Keras layers without a kind of the same name: layers of activations, and of layers
_OTHERS = (
    *(keras.layers.Activation, keras.layers.ELU, keras.layers.LeakyReLU, keras.layers.ReLU, keras.layers.Softmax),
    *(keras.layers.TimeDistributed,),
)
_SPATIAL = (keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D)
_MISSING = object()
_UNASKED = {"self", "args", "kwargs", "name", "dtype", "trainable", "autocast"}


def layer_from_keras(keras_layer: Any, has_masks: bool = False, **called_with: Any) -> Layer:
    """Returns the network's layer for a Keras layer; for a TimeDistributed that of its inner layer.

    Args:
        has_masks: whether the mask of a layer is a tensor of its own in the network.
        called_with: the arguments of its call, except its inputs.

    Raises:
        InputError: a layer without a kind, or with an option that the kind cannot express.
    """
    if isinstance(keras_layer, keras.layers.TimeDistributed):
        check_code(keras_layer)
        return _of_each_step(keras_layer)
    if type(keras_layer) in _SPATIAL:
        return _dropout_of_channels(keras_layer)
    kind = KINDS.get(type(keras_layer).__name__)
    if kind is None or kind is ActivationLayer:
        applied = ActivationLayer(_activation_from_keras(keras_layer))
        check_arguments(keras_layer, applied, layer_to_keras(applied, keras_layer.dtype))
        return applied
    name, other = kind.keras_name, type(keras_layer).__module__
    if not hasattr(keras.layers, offered_as(name)) and not isinstance(keras_layer, _of_tfbp(name)):
        raise InputError(f"model: got {keras_layer.name!r}, a {other}.{name}; accepted: tfbp.layers.{name}.")
    makers = [
        vars(base_class)["__init__"] for base_class in type(keras_layer).__mro__ if "__init__" in vars(base_class)
    ]
    names = {name for make in makers for name in inspect.signature(make).parameters}
    given = {name: _attribute(keras_layer, name) for name in sorted(names - _UNASKED)}
    made_apart = {"mask_zero"} if has_masks else set()
    given = {name: value for name, value in given.items() if value is not _MISSING and name not in made_apart}
    if isinstance(keras_layer, keras.layers.Bidirectional):
        given["layer"], takes = keras_layer.forward_layer, called_with.pop("takes", ())
    if "axis" in given and name.endswith("Normalization"):
        given["axis"] = _counted_from_the_last(keras_layer, given["axis"])
    if isinstance(keras_layer, keras.layers.EinsumDense):
        given["partial_output_shape"] = keras_layer.partial_output_shape
    try:
        for name in called_with.keys() - {field.name for field in dataclasses.fields(kind)}:  # type: ignore[arg-type]
            raise InputError(f"{name}: got one in its call; accepted: a call without it.")
        given |= called_with
        layer = kind.from_keras_arguments(
            {name: _argument_from_keras(keras_layer.name, name, value) for name, value in given.items()}
        )
        by_gate = hasattr(getattr(keras_layer, "cell", None), "dropout_mask_count")
        if getattr(layer, "dropout", 0) and by_gate and not getattr(layer, "drops_by_gate", False):
            raise InputError("implementation: got 1, which drops other inputs for each gate; accepted: 2 with dropout.")
        if isinstance(layer, Bidirectional) and takes:
            layer = Bidirectional(dataclasses.replace(layer.layer, takes=takes), layer.merge_mode)
        check_arguments(
            keras_layer, layer, layer_to_keras(layer, keras_layer.dtype, name=offered_as(type(keras_layer).__name__))
        )
        return layer
    except InputError as error:
        sentence = str(error)
        raise InputError(
            sentence if sentence.startswith("model: ") else f"model: {keras_layer.name!r}: {sentence}"
        ) from None


def takes_of(layer: Layer) -> tuple[str, ...]:
    """The names of what a layer takes beside x."""
    return getattr(layer.layer if isinstance(layer, Bidirectional) else layer, "takes", ())


def is_known_layer(keras_layer: Any) -> bool:
    """Whether a Keras layer has the name of one of a network's kinds, or is an activation."""
    if isinstance(keras_layer, _OTHERS) or type(keras_layer) in _SPATIAL:
        return True
    name = type(keras_layer).__name__
    theirs = getattr(keras.layers, offered_as(name), None) or _of_tfbp(name)
    return name in KINDS and theirs is not None and isinstance(keras_layer, theirs)


def _dropout_of_channels(keras_layer: Any) -> Layer:
    """Returns a SpatialDropout as a Dropout with one mask for all steps or pixels."""
    check_arguments(keras_layer, Dropout(keras_layer.rate), type(keras_layer)(keras_layer.rate))
    axes = 1 + _SPATIAL.index(type(keras_layer))
    return Dropout(keras_layer.rate, (None, *[1] * axes, None))


def _of_each_step(distributed: Any) -> Layer:
    if distributed.activity_regularizer is not None:
        got = f"{distributed.name!r} with activity_regularizer"
        raise InputError(f"model: got {got}; accepted: TimeDistributed without it.")
    layer = layer_from_keras(distributed.layer)
    if not isinstance(layer, _OF_EACH_STEP):
        raise InputError(
            f"model: got {distributed.name!r} with a {layer.keras_name} in it; accepted: a TimeDistributed Dense, "
            "activation, LayerNormalization or RMSNormalization."
        )
    return layer


def layer_to_keras(layer: Layer, dtype: str, room: Any = keras.layers, name: str = "") -> Any:
    """Returns the Keras layer of a layer, from its own package, keras.layers or tfbp.layers.

    A Keras layer of another name takes the layer's arguments."""
    name = name or layer.made_in_keras or layer.keras_name
    kind: Any = getattr(room, name, None) or getattr(keras.layers, offered_as(name), None) or _of_tfbp(name)
    if kind is None:
        raise InputError(f"layers: got {name}, of which there is no Keras layer; accepted: {one_of(sorted(KINDS))}.")
    arguments = {
        name: layer_to_keras(value, dtype, room) if isinstance(value, Layer) else _argument_to_keras(name, value)
        for name, value in layer.keras_arguments().items()
    }
    return kind(**arguments, dtype=dtype)


def _of_tfbp(name: str) -> Any:
    """Returns the layer of tfbp.layers with a name that Keras does not have. The late import avoids a circle."""
    return getattr(import_module("tfbp.layers"), name, None)


def offered_as(class_name: str) -> str:
    """Returns the name in keras.layers of a Keras class."""
    return "GroupQueryAttention" if class_name == "GroupedQueryAttention" else class_name


def weights_of(layer: Layer, keras_layer: Any) -> dict[str, Any]:
    """Returns the weights of a layer's Keras layer, or of a `Weights`, by the layer's names for them."""
    if isinstance(keras_layer, Weights):
        return keras_layer.weights
    named = {}
    for weight in keras_layer.weights:
        owner = weight.path.split("/")[-2] if "/" in weight.path else ""
        named[f"{owner}_{weight.name}" if owner in layer.keras_parts else weight.name] = weight
    return named


def _attribute(keras_layer: Any, argument: str) -> Any:
    """Returns a Keras layer's argument; some layers keep it under a private name."""
    return getattr(keras_layer, argument, getattr(keras_layer, f"_{argument}", _MISSING))


def _counted_from_the_last(keras_layer: Any, axis: Any) -> Any:
    """A built layer's axes, with -1 for the last one of its inputs."""
    shapes = keras_layer._build_shapes_dict
    last = len(next(iter(shapes.values()))) - 1 if shapes else None
    counted = [-1 if each == last else each for each in (axis if isinstance(axis, list | tuple) else [axis])]
    return counted[0] if len(counted) == 1 else counted


def _argument_from_keras(layer_name: str, argument: str, value: Any) -> Any:
    if argument.endswith("activation"):
        return _activation_from_keras(value)
    if argument.endswith("_regularizer"):
        return regularizer_from_keras(layer_name, value)
    if argument in ("layer", "backward_layer"):
        return layer_from_keras(value)
    return value


def _argument_to_keras(argument: str, value: Any) -> Any:
    if isinstance(value, Activation):
        return keras_activation(value)
    if isinstance(value, L1L2):
        return keras.regularizers.L1L2(value.l1, value.l2)
    return keras.initializers.get(value) if argument.endswith("_initializer") else value


def _activation_from_keras(given: Any) -> Activation:
    inner = given.activation if isinstance(given, keras.layers.Activation) else given
    if isinstance(given, keras.layers.Layer):
        check_code(given)
    activation = activation_of(given)
    if activation is None and not isinstance(inner, keras.layers.Layer):
        activation = activation_of_one_operation(inner)
    if activation is None and isinstance(given, keras.layers.Softmax):
        raise InputError(f"model: got {given.name!r} with axis={given.axis}; accepted: -1, the last axis.")
    if activation is None:
        kind = type(inner).__name__
        if isinstance(inner, keras.layers.Layer):
            raise InputError(f"model: got the layer {inner.name!r}, a {kind}; accepted: layers that tfbp.Network has.")
        name = getattr(inner, "__name__", kind)
        raise InputError(
            f"model: got the activation {name!r}{likely(name, ACTIVATIONS)}; accepted: those that tfbp.Activation has."
        )
    return activation


def regularizer_from_keras(layer_name: str, given: Any) -> L1L2 | None:
    """Returns the penalty of a Keras regularizer.

    Raises:
        InputError: a kind other than L1, L2 and L1L2.
    """
    if given is None:
        return None
    if type(given) not in (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2):
        raise InputError(f"model: got {layer_name!r} with {given!r}; accepted: the regularizers L1, L2 and L1L2.")
    return L1L2(float(getattr(given, "l1", 0.0)), float(getattr(given, "l2", 0.0)))
