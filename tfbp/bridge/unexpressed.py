"""Finds options of a Keras layer that a network's layer does not have: an error names them, none is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

import keras

from tfbp.errors import InputError
from tfbp.network import BatchNormalization, Layer

# options that do not change the function: the random numbers, and the speed
_FREE = {"name", "dtype", "trainable", "seed", "use_cudnn"}
# a mask is a tensor of its own in a network; the second changes only the outputs of masked steps; Bidirectional sets it
_FREE |= {"mask_zero", "zero_output_for_mask"}
# inner layers, each checked by itself
_INNER = {"layer", "backward_layer"}
# a built layer has its axes written out; the kind itself checks them
_OF_THE_KIND = {"axis", "axes", "attention_axes", "mean", "variance"}
# options of activation layers, which are all one kind
_OF_AN_ACTIVATION = {"activation", "alpha", "axis", "max_value", "negative_slope", "threshold"}


def check_arguments(keras_layer: keras.layers.Layer, layer: Layer, made: keras.layers.Layer) -> None:
    """Raises `InputError` where a Keras layer has an argument of another value than the network's layer can express.

    Args:
        keras_layer: the user's layer.
        layer: the network's layer, converted from it.
        made: the Keras layer, converted back from `layer`.

    Example:
        >>> from tfbp.network import Dense
        >>> regularized = keras.layers.Dense(3, name="d", activity_regularizer="l2")
        >>> check_arguments(regularized, Dense(3), keras.layers.Dense(3))
        Traceback (most recent call last):
        tfbp.errors.InputError: model: got 'd' with activity_regularizer; accepted: Dense without it.
    """
    kind = type(keras_layer).__name__
    check_code(keras_layer)
    original, expressed = keras_layer.get_config(), made.get_config()
    free = _FREE | _INNER | _OF_THE_KIND | (set() if type(made).__name__ == kind else _OF_AN_ACTIVATION)
    # the bridge converts these to the network's words, or rejects them
    free |= {name for name in layer.arguments() if name.endswith(("activation", "_regularizer"))}
    for name in sorted(original.keys() - free):
        if _plain(original[name]) != _plain(expressed.get(name)):
            raise _refused(keras_layer, _named(name, original[name]), f"{kind} without it")
    if keras_layer.dtype_policy.quantization_mode is not None:
        raise _refused(keras_layer, f"dtype={keras_layer.dtype_policy.name}", f"{kind} that is not quantized")
    if layer.without_gradient and not keras_layer.trainable:
        # its function in training differs
        raise _refused(keras_layer, "trainable=False", f"{kind} with trainable=True")


def check_code(keras_layer: keras.layers.Layer) -> None:
    """Raises `InputError` for a layer whose call may be a user's: of a class, or on the object."""
    kind = type(keras_layer)
    if kind.__module__.partition(".")[0] not in ("keras", "tfbp"):
        given = f"{kind.__module__}.{kind.__name__}"
        raise InputError(f"model: got {keras_layer.name!r}, a {given}; accepted: layers of Keras or tfbp.layers.")
    if "call" in vars(keras_layer):
        raise _refused(keras_layer, "a call of its own", f"{kind.__name__} as it is")


def check_model(model: keras.Model) -> None:
    """Raises `InputError` for a model whose function is not that of its layers, because its class has a call."""
    owner = next((parent for parent in type(model).__mro__ if "call" in vars(parent)), type(model))
    if "call" in vars(model) or not owner.__module__.startswith("keras."):
        raise _refused(model, "a call of its own", "a Sequential or Functional model without one")


def said_training(node: Any) -> bool | None:
    """Returns the `training` that a call of a Keras model's graph says; None where it says its default or nothing."""
    given = node.arguments.kwargs.get("training")
    parameter = signature(node.operation.call).parameters.get("training")
    return None if parameter is None or given == parameter.default else given


def check_training(keras_layer: keras.layers.Layer, layer: Layer, training: bool | None) -> None:
    """Raises `InputError` for a layer that computes otherwise in training, where its call in a model says which.

    `model(x)` follows that word; Keras's fit, evaluate and predict say `training` of the whole model, and override it.
    """
    if training is not None and (layer.draws or isinstance(layer, BatchNormalization)):
        given = f"training={training} in its call, which Keras's fit and predict override"
        raise _refused(keras_layer, given, f"{type(keras_layer).__name__} called without it")


def check_trained(model: keras.Model, layers: Iterable[tuple[Layer, keras.layers.Layer, Mapping[str, Any]]]) -> None:
    """Raises `InputError` where a weight is frozen, because a network cannot express that.

    Args:
        model: the user's model.
        layers: for each layer the network's layer, its Keras layer, and its variables by name.
    """
    trained = trained_in(model)
    for inner in model._flatten_layers(include_self=False):
        if inner.weights and not inner.trainable:
            raise _refused(inner, "trainable=False", "layers that train, or tfbp.Model.from_keras")
    for layer, keras_layer, weights in layers:
        if any(id(weight) not in trained for name, weight in weights.items() if name not in layer.without_gradient):
            raise _refused(keras_layer, "trainable=False", "layers that train, or tfbp.Model.from_keras")


def trained_in(model: keras.Model) -> set[int]:
    """Returns the ids of the variables that a model trains: a layer around them may be frozen too."""
    return {id(variable) for variable in model.trainable_variables}


def _refused(keras_layer: keras.layers.Layer, given: str, accepted: str) -> InputError:
    return InputError(f"model: got {keras_layer.name!r} with {given}; accepted: {accepted}.")


def _named(name: str, value: Any) -> str:
    return f"{name}={value!r}" if isinstance(value, bool | int | float | str) else name


def _plain(value: Any) -> Any:
    """Returns a value of a config in a form in which equal values are equal."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
