"""A Keras model with the layers of this package in the place of Keras's own."""

from __future__ import annotations

from typing import Any

import keras

from tfbp.errors import InputError
from tfbp.layers import own_layers
from tfbp.layers.keras_internals import Functional

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


def swap(model: keras.Model) -> keras.Model:
    """A copy of `model` in which each of Keras's layers that this package has by hand is that one.

    Arguments and the values of all variables are those of `model`: weights, moving statistics, the states of random
    generators, what was quantized; the layers of TimeDistributed and Bidirectional are swapped, too. Subclasses of
    Keras's layers, and layers inside of them, are copied as they are. Compile the copy again.

    Args:
        model: Sequential or Functional, models inside of it among them.

    Raises:
        InputError: `model` is of another class: what its `call` does cannot be copied.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu")])
        >>> [f"{type(layer).__module__}.{type(layer).__name__}" for layer in swap(model).layers]
        ['tfbp.layers.dense.Dense']

    Reference: `keras.models.clone_model`, https://keras.io/api/models/model_saving_apis/
    """
    if not isinstance(model, keras.Sequential | Functional):
        raise InputError(f"model: got a {type(model).__name__}; accepted: a Sequential or Functional keras.Model")

    swapped = keras.models.clone_model(model, clone_function=_copied, recursive=True)
    for copy, layer in zip(_layers_of(swapped), _layers_of(model), strict=True):
        _take_values(copy, layer)
    # the copy has learned from the same examples: what private training has spent is spent of both
    if (ledger := vars(model).get("tfbp_privacy")) is not None:
        swapped.tfbp_privacy = ledger
    return swapped


def _copied(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    for argument, attribute in _WRAPPED.get(type(layer), {}).items():
        config[argument] = keras.saving.serialize_keras_object(_copied(getattr(layer, attribute)))
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
    for name, variable in _own_variables(copy).items():
        variable.assign(values[name])


def _own_variables(layer: keras.layers.Layer) -> dict[tuple[str, int], Any]:
    """A layer's variables without those of layers inside, by name and how many of that name came before."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    own += [generator.state for generator in layer._seed_generators]
    names = [variable.name for variable in own]
    return {
        (name, names[:index].count(name)): variable
        for index, (name, variable) in enumerate(zip(names, own, strict=True))
    }
