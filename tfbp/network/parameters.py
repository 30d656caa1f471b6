"""Draws a network's first parameters: by Keras's initializers, in float64, with one seed for each tensor."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfbp.errors import InputError
from tfbp.network.chain import placed
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer


def initial_parameters(network: Any, seed: int) -> list[dict[str, Any]]:
    """Returns float64 parameters from the layers' initializers; each tensor's seed follows from `seed`.

    Raises:
        InputError: a seed that is not an integer of 0 or more, or an initializer that Keras does not know.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: got {seed!r}; accepted: an integer of 0 or more.")
    # at least two for each layer, kernel and bias: so a layer without a bias does not change the others' first values
    layers = [(node, node.layer.weight_shapes(node.input_shape)) for node in network.weight_nodes]
    counts = [max(2, len(shapes)) if shapes else 0 for _, shapes in layers]
    seeds = iter(np.random.SeedSequence(seed).generate_state(max(sum(counts), 1)).tolist())
    parameters = {}
    for (node, shapes), count in zip(layers, counts, strict=True):
        own = [next(seeds) for _ in range(count)]
        parameters[node.place] = {
            name: node.layer.started(name, _first_of(node.layer, name, shape, each))
            for (name, shape), each in zip(shapes.items(), own, strict=False)
        }
    return placed(network.layers, parameters)


def _first_of(layer: Layer, name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    drawn_as = layer.drawn_shape(name, shape)
    return _initial(f"{name}_initializer", layer.initializer(name), drawn_as, seed).reshape(shape)


def _initial(argument: str, initializer: Initializer, shape: tuple[int, ...], seed: int) -> np.ndarray:
    try:
        keras_initializer = keras.initializers.get(initializer)
        config = keras_initializer.get_config()
        if config.get("seed", 0) is None or (isinstance(initializer, str) and "seed" in config):
            keras_initializer = type(keras_initializer).from_config({**config, "seed": seed})
        return np.asarray(keras_initializer(shape, dtype="float64"))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{argument}: got {initializer!r}, which makes no tensor of shape {shape} in Keras ({error}); "
            "accepted: a Keras initializer that fits the shape."
        ) from error
