"""A Keras model with the layers of this package in the place of Keras's own."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tfbp.errors import InputError
from tfbp.layers import own_layers
from tfbp.layers.keras_internals import Functional, SafeModeScope

OURS: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    **{getattr(keras.layers, n): getattr(own_layers, n) for n in own_layers.__all__ if hasattr(keras.layers, n)},
    # its class has another name than `keras.layers` has for it
    keras.layers.GroupQueryAttention: own_layers.GroupedQueryAttention,
}
# where a layer has layers inside: its argument for each, and its attribute
_WRAPPED: dict[type[keras.layers.Layer], dict[str, str]] = {
    keras.layers.TimeDistributed: {"layer": "layer"},
    keras.layers.Bidirectional: {"layer": "forward_layer", "backward_layer": "backward_layer"},
}

# arguments that may be a user's functions and objects
_HANDED_ON = ("activation", "_initializer", "_regularizer", "_constraint")


def swap(model: keras.Model) -> keras.Model:
    """A copy of `model` in which each of Keras's layers that this package has by hand is that one.

    Arguments and the values of all variables are those of `model`: weights, moving statistics, the states of random
    generators, what was quantized; the layers of TimeDistributed and Bidirectional are swapped, too. Subclasses of
    Keras's layers, and layers inside of them, are copied as they are. Compile the copy again.

    Args:
        model: Sequential or Functional, models inside of it among them.

    Raises:
        InputError: `model` is of another class, or has a `call`, in it or inside, that a copy would not have.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu")])
        >>> [f"{type(layer).__module__}.{type(layer).__name__}" for layer in swap(model).layers]
        ['tfbp.layers.dense.Dense']

    Reference: `keras.models.clone_model`, https://keras.io/api/models/model_saving_apis/
    """
    if not isinstance(model, keras.Sequential | Functional):
        raise InputError(f"model: got a {type(model).__name__}; accepted: a Sequential or Functional keras.Model")

    for layer in _layers_of(model):
        _check_call(layer)
    if isinstance(model, keras.Sequential):
        _check_sequential(model)
    swapped = keras.models.clone_model(model, clone_function=_copied, recursive=True)
    for copy, layer in zip(_layers_of(swapped), _layers_of(model), strict=True):
        _take_values(copy, layer)
    for copy, layer in zip(_layers_of(swapped), _layers_of(model), strict=True):
        _take_trainable(copy, layer)
    # the copy has learned from the same examples: what private training has spent is spent of both
    if (ledger := vars(model).get("tfbp_privacy")) is not None:
        swapped.tfbp_privacy = ledger
    return swapped


def _check_call(layer: keras.layers.Layer) -> None:
    """Raise `InputError` for a call that a copy by the layer's config, or by a model's layers, does not have."""
    owner = next((parent for parent in type(layer).__mro__ if "call" in vars(parent)), type(layer))
    is_own = isinstance(layer, keras.Sequential | Functional) and not owner.__module__.startswith("keras")
    if "call" in vars(layer) or is_own:
        raise InputError(f"model: got {layer.name!r} with a call of its own; accepted: layers and models without one.")


def _check_sequential(model: keras.Sequential) -> None:
    """Raise `InputError` for what a copy, which is a plain Sequential, does not have."""
    if not model.layers:
        raise InputError(f"model: got {model.name!r} without a layer; accepted: at least one.")
    for parent in type(model).__mro__[: type(model).__mro__.index(keras.Sequential)]:
        for name, given in vars(parent).items():
            if callable(given) and hasattr(keras.Sequential, name) and not name.startswith("__"):
                raise InputError(f"model: got {model.name!r} with a {name} of its own; accepted: a Sequential without.")


def _copied(layer: keras.layers.Layer) -> keras.layers.Layer:
    with warnings.catch_warnings():
        # what a file could not hold goes from hand to hand here
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        config = layer.get_config()
    for argument in config:
        # functions and objects of the user's, which a config can only name
        given = getattr(layer, argument, getattr(layer, f"_{argument}", None))
        if argument.endswith(_HANDED_ON) and callable(given) and not _module(given).startswith("keras."):
            config[argument] = given
    for argument, attribute in _WRAPPED.get(type(layer), {}).items():
        config[argument] = keras.saving.serialize_keras_object(_copied(getattr(layer, attribute)))
    # a model in memory holds its functions already: nothing comes from a file
    with SafeModeScope(False):
        return OURS.get(type(layer), type(layer)).from_config(config)


def _layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """The model and all layers in it, also those that a layer has inside."""
    return list(model._flatten_layers())


def _take_values(copy: keras.layers.Layer, layer: keras.layers.Layer) -> None:
    """Give a copy the values of a layer's own variables, by name: their order tells how each was made."""
    mode = getattr(layer, "quantization_mode", None)
    if mode is not None and getattr(copy, "quantization_mode", None) is None:
        # attention does not write into its arguments that its projections were quantized
        copy.quantize(mode, type_check=False, config=layer.quantization_config)
    values = _own_variables(layer)
    if getattr(layer, "lora_enabled", False) and not getattr(copy, "lora_enabled", False):
        # nor that they were adapted
        copy.enable_lora(layer.lora_rank, lora_alpha=layer.lora_alpha)
    variables = _own_variables(copy)
    if variables.keys() != values.keys():
        apart = ", ".join(sorted(name for name, _ in variables.keys() ^ values.keys()))
        raise InputError(
            f"model: got {layer.name!r}, which differs from its copy by {apart}; accepted: as it is built."
        )
    for name, variable in variables.items():
        variable.assign(values[name])


def _take_trainable(copy: keras.layers.Layer, layer: keras.layers.Layer) -> None:
    """Train of a copy what is trained of a layer."""
    copy._trainable = layer._trainable
    values = _own_variables(layer)
    for name, variable in _own_variables(copy).items():
        variable._trainable = values[name]._trainable


def _module(given: Any) -> str:
    """Where a function, or an object's class, is written."""
    return str(getattr(given, "__module__", None) or type(given).__module__)


def _own_variables(layer: keras.layers.Layer) -> dict[tuple[str, int], Any]:
    """A layer's variables without those of layers inside, by name and how many of that name came before."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    own += [generator.state for generator in layer._seed_generators]
    names = [variable.name for variable in own]
    return {
        (name, names[:index].count(name)): variable
        for index, (name, variable) in enumerate(zip(names, own, strict=True))
    }
