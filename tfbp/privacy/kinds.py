"""The kinds of layers with examples' gradients from x and dz, and the recording of their calls.

A function here takes the recorder, the layer and the layer's arguments, and returns the layer's result.
B batch, T all axes between the first and the last, I inputs, O outputs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfbp import layers
from tfbp.privacy import kinds_of_images, kinds_of_sequences
from tfbp.privacy.einsum import einsum_parts
from tfbp.privacy.keras_internals import set_keras_mask
from tfbp.privacy.parts import Each, Product, Rows
from tfbp.privacy.recording import Recorder, constant
from tfbp.privacy.sums import gradient_of_broadcast


def calls_of(recorder: Recorder, layer: Any) -> dict[str, Callable[..., Any]]:
    """Returns the replacements of a layer's methods while it is recorded; nothing for an unknown kind."""
    if not layer.built or getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return {}
    if getattr(layer, "_remat_mode", None) is not None:
        return {}
    kind = type(layer)
    for known, (name, is_known, record) in _KINDS.items():
        if name in vars(layer):
            # somebody's own, in the place of the method
            continue
        if kind in (getattr(keras.layers, known, None), getattr(layers, known, None)) and is_known(layer):
            return {name: functools.partial(record, recorder, layer)}
    return {}


def dense(recorder: Recorder, layer: Any, inputs: Any, training: Any = None) -> Any:
    kernel = constant(layer.kernel)
    z = ops.matmul(inputs, kernel)
    x, bias = tf.convert_to_tensor(inputs), layer.bias

    def find(dz: tf.Tensor) -> Any:
        left, right = _in_rows(x), _in_rows(dz)
        parts = [(layer.kernel, Product(left, right, lambda matrix: tf.reshape(matrix, layer.kernel.shape)))]
        return [*parts, *_of_bias(bias, dz)]

    z = z if bias is None else ops.add(z, constant(bias))
    z = recorder.kept(layer, z, find)
    return z if layer.activation is None else _activated(layer, z)


def einsum_dense(recorder: Recorder, layer: Any, inputs: Any, training: Any = None) -> Any:
    x, bias = tf.convert_to_tensor(inputs), layer.bias
    z = ops.einsum(layer.equation, x, constant(layer.kernel))

    def find(dz: tf.Tensor) -> Any:
        return [(layer.kernel, einsum_parts(layer.equation, x, dz, layer.kernel.shape)), *_of_bias(bias, dz)]

    z = z if bias is None else ops.add(z, constant(bias))
    z = recorder.kept(layer, z, find)
    return z if layer.activation is None else _activated(layer, z)


def embedding(recorder: Recorder, layer: Any, inputs: Any, reverse: bool = False) -> Any:
    if reverse:
        return _reversed(recorder, layer, inputs)
    rows = layer.embeddings.shape[0]
    tokens = tf.cast(inputs, tf.int32)
    tokens = tf.where(tokens < 0, tokens + rows, tokens)
    y = ops.cast(ops.take(constant(layer.embeddings), tokens, axis=0), layer.compute_dtype)
    if isinstance(layer, keras.layers.ReversibleEmbedding):
        mask = keras.layers.Embedding.compute_mask(layer, inputs)
        if mask is not None:
            set_keras_mask(y, mask)

    def find(dy: tf.Tensor) -> Any:
        count = math.prod(tokens.shape[1:])
        flat = tf.reshape(tokens, [-1, count]), tf.reshape(dy, [-1, count, dy.shape[-1]])
        return [(layer.embeddings, Rows(*flat, rows=rows))]

    return recorder.kept(layer, y, find)


def _reversed(recorder: Recorder, layer: Any, inputs: Any) -> Any:
    weight = layer.embeddings if layer.tie_weights else layer.reverse_embeddings
    kernel = ops.transpose(constant(weight)) if layer.tie_weights else constant(weight)
    if layer.reverse_dtype is not None:
        inputs, kernel = ops.cast(inputs, layer.reverse_dtype), ops.cast(kernel, layer.reverse_dtype)
    x = tf.convert_to_tensor(inputs)

    def find(dz: tf.Tensor) -> Any:
        left, right = _in_rows(x), _in_rows(dz)
        # the table is the kernel transposed
        pair = (right, left) if layer.tie_weights else (left, right)
        return [(weight, Product(*pair, lambda matrix: tf.reshape(matrix, weight.shape)))]

    z = recorder.kept(layer, ops.matmul(x, kernel), find)
    cap = layer.logit_soft_cap
    return z if cap is None else ops.multiply(ops.tanh(ops.divide(z, cap)), cap)


def prelu(recorder: Recorder, layer: Any, inputs: Any) -> Any:
    x = tf.convert_to_tensor(inputs)
    below = tf.minimum(x, 0)
    y = tf.maximum(x, 0) + constant(layer.alpha) * below
    return recorder.kept(
        layer, y, lambda dy: [(layer.alpha, Each(gradient_of_broadcast(dy * below, layer.alpha.shape)))]
    )


def position(recorder: Recorder, layer: Any, inputs: Any, start_index: Any = 0) -> Any:
    table, steps = tf.cast(constant(layer.position_embeddings), inputs.dtype), inputs.shape[-2]
    places = tf.range(steps) + tf.cast(start_index, tf.int32)

    def find(dy: tf.Tensor) -> Any:
        total = gradient_of_broadcast(dy, (steps, dy.shape[-1]))
        tokens = tf.repeat(places[None], tf.shape(dy)[0], axis=0)
        return [(layer.position_embeddings, Rows(tokens, total, layer.position_embeddings.shape[0]))]

    return recorder.kept(layer, inputs + tf.gather(table, places), find)


def _of_bias(bias: Any, dz: tf.Tensor) -> list[Any]:
    return [] if bias is None else [(bias, Each(gradient_of_broadcast(dz, bias.shape)))]


def _in_rows(tensor: tf.Tensor) -> tf.Tensor:
    """(B, …, I) -> (B, T, I)."""
    return tf.reshape(tensor, [-1, math.prod(tensor.shape[1:-1]), tensor.shape[-1]])


def _activated(layer: Any, z: Any) -> Any:
    """Returns the layer's activation, with a hand-written derivative where the layer's has one."""
    ours = type(layer).__module__.startswith("tfbp.")
    return layers.hand_written.activate(layer.activation, z) if ours else layer.activation(z)


def _always(layer: Any) -> bool:
    return True


_KINDS: dict[str, tuple[str, Callable[[Any], bool], Callable[..., Any]]] = {
    "Dense": ("call", _always, dense),
    "EinsumDense": ("call", _always, einsum_dense),
    "Embedding": ("call", _always, embedding),
    "ReversibleEmbedding": ("call", _always, embedding),
    "PReLU": ("call", _always, prelu),
    "PositionEmbedding": ("call", _always, position),
    **kinds_of_images.KINDS,
    **kinds_of_sequences.KINDS,
}
