"""Restores the user's weights, state, seeds and policies, also after an exception."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.eager import context


@contextmanager
def kept(model: keras.Model) -> Iterator[None]:
    """Restores everything at the end: while open, the model may run and its variables may change."""
    layers = [model, *model._flatten_layers(include_self=False)]
    variables = {id(v): v for layer in layers for v in layer.variables}
    values = {key: v.numpy() for key, v in variables.items()}
    losses = {id(layer): list(layer._losses) for layer in layers}
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    eager = tf.config.functions_run_eagerly()
    draws = random.getstate(), np.random.get_state()  # noqa: NPY002  generators that a layer may draw from
    ours = context.context()
    seeded = {name: getattr(ours, name) for name in ("_seed", "_rng") if hasattr(ours, name)}
    internal = seeded["_rng"].getstate() if "_rng" in seeded else None
    shared = global_state.get_global_attribute("global_seed_generator")
    drawn = None if shared is None else shared.state.numpy()
    try:
        tf.config.run_functions_eagerly(False)
        yield
    finally:
        for key, variable in variables.items():
            variable.assign(values[key])
        for layer in layers:
            layer._losses[:] = losses[id(layer)]
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)
        tf.config.run_functions_eagerly(eager)
        random.setstate(draws[0])
        np.random.set_state(draws[1])  # noqa: NPY002
        for name, value in seeded.items():
            setattr(ours, name, value)
        if internal is not None:
            ours._rng.setstate(internal)
        if drawn is not None:
            shared.state.assign(drawn)
