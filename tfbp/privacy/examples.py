"""Computes each example's gradient in a batch: its squared norm, and sums with a factor for each example.

There are two ways. By hand: one backward pass computes every layer's dz, and the rest follows from x and dz
(`parts`). By tape: one tape for each example of a chunk, in parallel (tf.vectorized_map), with every example's gradient
in memory.

g_b is the gradient of the loss on a batch of example b alone, with respect to the trainable weights, without
penalties on weights. B examples.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend import get_keras_mask, set_keras_mask

from tfbp.privacy import parts as formulas
from tfbp.privacy.kinds import calls_of
from tfbp.privacy.recording import NotRecorded, Unweighted, all_layers, recording, without_penalties

BY_HAND, BY_TAPE = "by hand", "by tape"
# bytes of the gradients of a chunk of examples, by tape
CHUNK_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Found:
    """The results for a batch.

    Attributes:
        losses: ℓ_b, (B,), at least float32.
        outputs: the model's outputs, for metrics.
        squares: ‖g_b‖², (B,), float64; infinite or NaN for an example with such a gradient.
        weighted: Σ_b f_b g_b of each trainable weight, for factors (B,) and finite squares, (B,): other examples
            count 0.
    """

    losses: tf.Tensor
    outputs: Any
    squares: tf.Tensor
    weighted: Callable[[tf.Tensor, tf.Tensor], list[tf.Tensor]]


@dataclass
class Way:
    """The way to compute the examples' gradients of a model.

    Attributes:
        layers: the way of each layer with trainable weights, by its path.
        reason: the cause why none goes by hand; empty where they do.
        losses: how a batch's loss follows from its examples': "mean", "sum", or "each" where it is neither, for example
            because a mask counts over the whole batch.
        is_weighted: whether the loss takes a weight for each example.
        in_turn: whether examples go by tape one after the other: TensorFlow cannot run them all in parallel.
    """

    layers: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    losses: str = "mean"
    is_weighted: bool = True
    in_turn: bool = False

    @property
    def is_by_hand(self) -> bool:
        return not self.reason


def find(model: Any, way: Way, data: Any, training: bool = True) -> Found:
    """Returns the examples' gradients of packed data (x, y, sample_weight) of a batch; call it in a tf.function."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with without_penalties(model):
        return (by_hand if way.is_by_hand else by_tape)(model, way, x, y, sample_weight, training)


def by_hand(model: Any, way: Way, x: Any, y: Any, sample_weight: Any, training: bool) -> Found:
    """Computes them from one backward pass.

    Raises:
        NotRecorded: a layer or a weight with a gradient that does not follow from the record.
    """
    variables = model.trainable_variables
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in variables])
        with recording(model, tape, calls_of) as recorder:
            outputs = called(model, x, training)
            weights = _weights_of(outputs, sample_weight) if way.is_weighted else sample_weight
            flat_weights = [leaf for leaf in keras.tree.flatten(weights) if leaf is not None and way.is_weighted]
            tape.watch(flat_weights)
            total = _sum_of_losses(model, way, x, y, outputs, weights, training)
    zs = [z for z, _ in recorder.uses]
    gradients = tape.gradient(total, [*zs, *flat_weights, *(variable.value for variable in variables)])
    dzs, dweights, others = gradients[: len(zs)], gradients[len(zs) : -len(variables)], gradients[-len(variables) :]
    if any(dz is None for dz in dzs):
        raise NotRecorded("a layer whose output does not reach the loss, or not in a way that the tape sees")
    if any(dweight is None for dweight in dweights):
        raise Unweighted
    by_variable: dict[int, list[Any]] = {id(variable): [] for variable in variables}
    for dz, (_, parts_of) in zip(dzs, recorder.uses, strict=True):
        for variable, part in parts_of(dz):
            if id(variable) in by_variable:
                by_variable[id(variable)].append(part)
    joined = []
    for variable, other in zip(variables, others, strict=True):
        if other is not None:
            raise NotRecorded(f"{variable.path}, which is used outside of a layer of a known kind")
        try:
            joined.append(formulas.joined(by_variable[id(variable)]))
        except formulas.Unknown:
            raise NotRecorded(f"{variable.path}, which is used in several ways") from None

    def squares(dtype: tf.DType) -> tf.Tensor:
        zero = tf.zeros([rows_of(x)], dtype)
        return tf.maximum(sum((formulas.squares(each, dtype) for each in joined if each), zero), 0)

    def weighted(factors: tf.Tensor, finite: tf.Tensor) -> list[tf.Tensor]:
        return [
            sum(tf.reshape(part.weighted(factors, finite), variable.shape) for part in each)
            if each
            else tf.zeros(variable.shape, factors.dtype)
            for variable, each in zip(variables, joined, strict=True)
        ]

    if way.is_weighted:
        # total = Σ_b weight_b · (the loss without its weight): so ℓ_b = weight_b · dtotal/dweight_b
        pairs = zip(flat_weights, dweights, strict=True)
        losses = sum(_per_example(weight * dweight) for weight, dweight in pairs)
    else:
        losses = _each_loss(model, way, x, y, outputs, sample_weight, training)
    return Found(losses, outputs, _without_overflow(squares, _wide(variables)), weighted)


def by_tape(model: Any, way: Way, x: Any, y: Any, sample_weight: Any, training: bool) -> Found:
    """Computes them from one tape for each example, in parallel."""
    variables = model.trainable_variables
    values = [variable.value for variable in variables]

    def of_one(example: Any) -> Any:
        x, y, sample_weight = keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[None], example)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = called(model, x, training)
            loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=training)
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return loss, keras.tree.map_structure(lambda leaf: leaf[0], outputs), gradients

    packed = keras.tree.flatten((x, y, sample_weight))
    structure = (x, y, sample_weight)

    def of_leaves(leaves: Any) -> Any:
        following = iter(leaves)
        filled = [None if leaf is None else next(following) for leaf in packed]
        return of_one(keras.tree.pack_sequence_as(structure, filled))

    losses, outputs, gradients = _mapped(of_leaves, [leaf for leaf in packed if leaf is not None], way.in_turn)
    each = [formulas.Each(gradient) for gradient in gradients]

    def squares(dtype: tf.DType) -> tf.Tensor:
        return sum((part.squares(dtype) for part in each), tf.zeros([rows_of(x)], dtype))

    def weighted(factors: tf.Tensor, finite: tf.Tensor) -> list[tf.Tensor]:
        return [part.weighted(factors, finite) for part in each]

    return Found(losses, outputs, _without_overflow(squares, _wide(variables)), weighted)


def called(model: Any, x: Any, training: bool) -> Any:
    """Returns the model's outputs, as Keras's own step calls it."""
    return model(x, training=training) if model._call_has_training_arg else model(x)


def rows_of(x: Any) -> Any:
    """B."""
    first = next(leaf for leaf in keras.tree.flatten(x) if leaf is not None)
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def layers_with_weights(model: Any) -> list[str]:
    """Returns the paths of the layers with trainable weights."""
    trained = {id(variable) for variable in model.trainable_variables}
    return [
        layer.path
        for layer in all_layers(model)
        if any(id(variable) in trained for variable in layer._trainable_variables)
    ]


def _weights_of(outputs: Any, sample_weight: Any) -> Any:
    """Returns the sample weights as floats; ones without weights: the total's gradient by them is each ℓ_b."""
    if sample_weight is not None:
        return keras.tree.map_structure(
            lambda leaf: leaf if leaf is None or leaf.dtype.is_floating else tf.cast(leaf, keras.config.floatx()),
            sample_weight,
        )

    # losses have the outputs' axes but the last
    def ones(output: tf.Tensor) -> tf.Tensor:
        return tf.ones([tf.shape(output)[0], *[1] * max(output.shape.rank - 2, 0)], keras.config.floatx())

    return keras.tree.map_structure(ones, outputs)


def _sum_of_losses(model: Any, way: Way, x: Any, y: Any, outputs: Any, weights: Any, training: bool) -> tf.Tensor:
    """Returns Σ_b ℓ_b."""
    if way.losses == "each":
        return tf.reduce_sum(_each_loss(model, way, x, y, outputs, weights, training))
    try:
        loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=training)
    except (ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError) as error:
        if not way.is_weighted:
            raise
        raise Unweighted from error
    return loss * tf.cast(rows_of(x), loss.dtype) if way.losses == "mean" else loss


def _each_loss(model: Any, way: Way, x: Any, y: Any, outputs: Any, weights: Any, training: bool) -> tf.Tensor:
    """Returns ℓ_b of every example as a batch of its own, (B,), from the outputs of the whole batch."""
    masks = keras.tree.map_structure(get_keras_mask, outputs)

    def alone(given: Any) -> tf.Tensor:
        x, y, outputs, weights, masks = keras.tree.map_structure(
            lambda leaf: None if leaf is None else leaf[None], given
        )
        for output, mask in zip(keras.tree.flatten(outputs), keras.tree.flatten(masks), strict=True):
            if mask is not None:
                set_keras_mask(output, mask)
        return model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=training)

    structure = (x, y, outputs, weights, masks)
    leaves = keras.tree.flatten(structure)

    def of_leaves(given: Any) -> tf.Tensor:
        following = iter(given)
        return alone(
            keras.tree.pack_sequence_as(structure, [None if leaf is None else next(following) for leaf in leaves])
        )

    return _mapped(of_leaves, [leaf for leaf in leaves if leaf is not None], way.in_turn)


def _mapped(function: Any, leaves: Any, in_turn: bool) -> Any:
    """Applies function to each example in parallel; in sequence where TensorFlow cannot trace that."""
    log = logging.getLogger("tensorflow")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)
        if not in_turn:
            return tf.vectorized_map(function, leaves)
    except (TypeError, ValueError, NotImplementedError):
        pass
    finally:
        log.setLevel(level)
    program = tf.function(lambda given: function(given), autograph=False).get_concrete_function(
        [tf.TensorSpec(leaf.shape[1:], leaf.dtype) for leaf in leaves]
    )
    specs = tf.nest.map_structure(lambda each: tf.TensorSpec(each.shape, each.dtype), program.structured_outputs)
    return tf.map_fn(function, leaves, fn_output_signature=specs, parallel_iterations=1)


def _per_example(terms: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.reshape(terms, [tf.shape(terms)[0], -1]), axis=1)


def _without_overflow(squares: Callable[[tf.DType], tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """Returns the squares in float64; computed in float64, too, where they overflow in a narrower dtype."""
    values = squares(dtype)
    if dtype == tf.float64:
        return values
    # a separate function: Grappler rewrites inlined code, and then runs unused parts of it
    wide = tf.function(lambda: squares(tf.float64), autograph=False, experimental_attributes={"_noinline": True})
    return tf.cond(tf.reduce_all(tf.math.is_finite(values)), lambda: tf.cast(values, tf.float64), wide)


def _wide(variables: Any) -> tf.DType:
    return tf.float64 if any(variable.dtype == "float64" for variable in variables) else tf.float32


def rows_a_chunk(model: Any, way: Way, most: int) -> int:
    """Returns the number of examples in parallel: by tape their gradients are in memory, at most CHUNK_BYTES."""
    if way.is_by_hand:
        return most
    bytes_an_example = sum(8 * math.prod(variable.shape) for variable in model.trainable_variables)
    return max(1, min(most, CHUNK_BYTES // max(1, bytes_an_example)))
