"""The gradients of a training step by hand, and those of the same Keras model on the tape, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import manual, tape
from tfbp.bridge.layers import weights_of
from tfbp.bridge.models import at_place, parameters_of
from tfbp.network import at

BATCH, SEED = 5, 7
# a gradient that is 0 but for rounding, as of a bias before BatchNormalization, is less than this of all together
ZERO = 1e-12
_OF_VOLUMES = keras.layers.MaxPooling3D | keras.layers.AveragePooling3D


def difference_and_rounding(model: Any, network: Any, sources: Any) -> tuple[float, float]:
    """The largest ‖by hand - by Keras's tape‖ / ‖by Keras's tape‖ of a weight's gradient, and the largest that one bit
    of the inputs makes on the tape."""
    rng = np.random.default_rng(0)
    x = [_input(rng, tensor, tokens) for tensor, tokens in zip(model.inputs, network.input_tokens, strict=True)]
    for weight in model.trainable_weights:
        # off their first values: a bias of 0 and a gamma of 1 hide mistakes; kernels are random
        if len(weight.shape) < 2:
            weight.assign(weight.numpy() + 0.05 * rng.normal(size=weight.shape))
    y = [rng.normal(size=(BATCH, *tensor.shape[1:])) for tensor in model.outputs]
    parameters = parameters_of(network, sources)
    found = manual.loss_and_gradients(
        _with_constants_of_keras(network, sources), parameters, _one(x), _one(y), seed=SEED if network.draws else None
    )[1]
    moved_x = [x[0] if x[0].dtype.kind == "i" else np.nextafter(x[0], np.inf), *x[1:]]
    with _masks_of(network, sources), _formulas_in_float64(network, sources):
        expected, moved = (_by_keras(model, inputs, y) for inputs in (x, moved_x))
    by_hand: dict[int, Any] = {}
    for place, source in sources.items():
        for name, variable in weights_of(at_place(network, place), source).items():
            if id(variable) in expected:
                by_hand[id(variable)] = np.asarray(at(found, place)[name])
    assert by_hand.keys() == expected.keys(), (len(by_hand), len(expected))
    return _largest(by_hand, expected), _largest(moved, expected)


def _largest(got: dict[int, Any], expected: dict[int, Any]) -> float:
    norms = {key: float(np.linalg.norm(value)) for key, value in expected.items()}
    whole = sum(norm**2 for norm in norms.values()) ** 0.5
    apart = {key: float(np.linalg.norm(got[key] - value)) for key, value in expected.items()}
    return max(apart[key] / (norm if norm > ZERO * whole else whole) for key, norm in norms.items())


def _by_keras(model: Any, x: list[Any], y: list[Any]) -> dict[int, Any]:
    """Returns gradients by the ids of the variables."""
    with tf.GradientTape() as record:
        outputs = model(_one(x, list), training=True)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        loss = sum(model.losses)
        for targets, output in zip(y, outputs, strict=True):
            loss += tf.reduce_mean((output - targets) ** 2)
    gradients = record.gradient(loss, [w.value for w in model.trainable_weights])
    found = zip(model.trainable_weights, gradients, strict=True)
    # an embedding's gradient has the rows of its tokens
    return {id(w): np.asarray(tf.convert_to_tensor(g)) for w, g in found if g is not None}


def _one(each: list[Any], several: Any = tuple) -> Any:
    return each[0] if len(each) == 1 else several(each)


def _with_constants_of_keras(network: Any, sources: Any) -> Any:
    """Rounds as Keras's Rescaling does, which has its two numbers in float32, also in a model of float64."""
    layers = list(network.layers)
    for place, source in sources.items():
        if isinstance(source, keras.layers.Rescaling):
            rounded = (float(np.float32(number)) for number in (source.scale, source.offset))
            layers[place[0]] = type(layers[place[0]])(*rounded)
    return type(network).of_calls(**{**vars(network), "layers": tuple(layers)})


def _input(rng: np.random.Generator, tensor: Any, tokens: Any) -> np.ndarray:
    shape = (BATCH, *tensor.shape[1:])
    if tokens is not None:
        return rng.integers(0, tokens.vocabulary, shape)
    # integers that no table looks up are a mask, numbers in a network
    return rng.integers(0, 2, shape).astype(float) if "int" in tensor.dtype else rng.normal(size=shape)


@contextmanager
def _masks_of(network: Any, sources: Any) -> Iterator[None]:
    """Makes Keras's layers of dropout, attention and recurrence drop the same numbers as the network's."""
    changed = []
    for node in network.nodes:
        layer, source = node.layer, sources.get(node.place)
        if not layer.draws or source is None:
            continue
        pair = tf.constant([SEED, node.draws_before], tf.int64)
        if isinstance(source, keras.layers.RNN):
            changed.append((source.cell, "get_dropout_mask"))
            source.cell.get_dropout_mask = partial(_mask_of_steps, pair, layer.dropout)
        elif isinstance(source, keras.layers.MultiHeadAttention | keras.layers.GroupQueryAttention):
            changed.append((source._dropout_layer, "call"))
            source._dropout_layer.call = partial(_dropped, pair, layer.dropout, None)
        else:
            changed.append((source, "call"))
            source.call = partial(_dropped, pair, layer.rate, layer.noise_shape)
    try:
        yield
    finally:
        for owner, name in changed:
            delattr(owner, name)


def _dropped(pair: Any, rate: float, noise_shape: Any, x: Any, training: bool = False) -> Any:
    shape = noise_shape and [n or size for n, size in zip(noise_shape, x.shape, strict=True)]
    return manual.dropout.dropout_forward(x, pair, rate=rate, noise_shape=shape)[0]


def _mask_of_steps(pair: Any, rate: float, step: Any) -> Any:
    return _dropped(pair, rate, None, tf.ones_like(step)[:, None])[:, 0]


@contextmanager
def _formulas_in_float64(network: Any, sources: Any) -> Iterator[None]:
    """Keras's gelu, leaky_relu and attention have constants in float32, TensorFlow's bilinear resize returns float32,
    and it has no pooling of volumes in float64: for a while layers have the third writing's formulas and constants."""
    changed = []
    for place, source in sources.items():
        layer = at_place(network, place)
        if layer.applied_activation.name in ("gelu", "leaky_relu") and hasattr(source, "activation"):
            changed.append((source, "activation", source.activation))
            source.activation = partial(tape.activations.activation_forward, layer.applied_activation)
        if isinstance(source, keras.layers.MultiHeadAttention):
            changed.append((source, "_inverse_sqrt_key_dim", source._inverse_sqrt_key_dim))
            source._inverse_sqrt_key_dim = tf.constant(layer.key_dim**-0.5, tf.float64)
        if getattr(layer, "interpolation", "") == "bilinear" or isinstance(source, _OF_VOLUMES):
            changed.append((source, "call", source.call))
            source.call = partial(_by_tape, layer)
    try:
        yield
    finally:
        for source, name, value in changed:
            setattr(source, name, value)


def _by_tape(layer: Any, x: Any) -> Any:
    return tape.kinds.kind_of(layer)(layer, {}, x, training=False, seed=None)[0]
