"""Computes each example's gradient in a batch: its squared norm, and sums with a factor for each example.

There are two ways. By hand: one backward pass computes every layer's dz, and the rest follows from x and dz
(`parts`). By tape: one tape for each example of a chunk, in parallel (tf.vectorized_map), with every example's gradient
in memory.

g_b is the gradient of the loss on a batch of example b alone, with respect to the trainable weights, without
penalties on weights. B examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfbp.privacy import parts as formulas
from tfbp.privacy.kinds import calls_of
from tfbp.privacy.losses import each_loss, mapped, rows_of, sum_of_losses, weights_of
from tfbp.privacy.recording import NotRecorded, Unweighted, recording, without_penalties
from tfbp.privacy.ways import Way


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
        with recording(model, tape, calls_of, way.most) as recorder:
            outputs = called(model, x, training)
            weights = weights_of(outputs, sample_weight) if way.is_weighted else sample_weight
            flat_weights = [leaf for leaf in keras.tree.flatten(weights) if leaf is not None and way.is_weighted]
            tape.watch(flat_weights)
            total = sum_of_losses(model, way, x, y, outputs, weights, training)
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

    def weighted(factors: tf.Tensor, finite: tf.Tensor) -> list[tf.Tensor]:
        return [
            sum(tf.reshape(part.weighted(factors, finite), variable.shape) for part in parts)
            if parts
            else tf.zeros(variable.shape, factors.dtype)
            for variable, parts in zip(variables, joined, strict=True)
        ]

    if way.is_weighted:
        # total = Σ_b weight_b · (the loss without its weight): so ℓ_b = weight_b · dtotal/dweight_b
        pairs = zip(flat_weights, dweights, strict=True)
        losses = sum(_per_example(weight * dweight) for weight, dweight in pairs)
    else:
        losses = each_loss(model, way, x, y, outputs, sample_weight, training)
    return Found(losses, outputs, _squares(joined, rows_of(x), wide(variables)), weighted)


def by_tape(model: Any, way: Way, x: Any, y: Any, sample_weight: Any, training: bool) -> Found:
    """Computes them from one tape for each example, in parallel."""
    variables = model.trainable_variables
    values = [variable.value for variable in variables]

    def of_one(example: Any) -> Any:
        x, y, sample_weight = example
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = called(model, x, training)
            loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=training)
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return loss, keras.tree.map_structure(lambda leaf: leaf[0], outputs), gradients

    losses, outputs, gradients = mapped(of_one, (x, y, sample_weight), way.in_turn)
    each = [formulas.Each(gradient) for gradient in gradients]

    def weighted(factors: tf.Tensor, finite: tf.Tensor) -> list[tf.Tensor]:
        return [part.weighted(factors, finite) for part in each]

    return Found(losses, outputs, _squares([[part] for part in each], rows_of(x), wide(variables)), weighted)


def called(model: Any, x: Any, training: bool) -> Any:
    """Returns the model's outputs, as Keras's own step calls it."""
    return model(x, training=training) if model._call_has_training_arg else model(x)


def _per_example(terms: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.reshape(terms, [tf.shape(terms)[0], -1]), axis=1)


def _squares(parts_of_weights: list[list[Any]], rows: Any, dtype: tf.DType) -> tf.Tensor:
    """Returns ‖g_b‖² in float64; computed in float64, too, where the squares overflow in a narrower dtype."""
    parts_of_weights = [parts for parts in parts_of_weights if parts]

    def squares(parts_of_weights: list[list[Any]], rows: Any, dtype: tf.DType) -> tf.Tensor:
        zero = tf.zeros([rows], dtype)
        return tf.maximum(sum((formulas.squares(parts, dtype) for parts in parts_of_weights), zero), 0)

    values = squares(parts_of_weights, rows, dtype)
    if dtype == tf.float64:
        return values

    def of_one(row: tf.Tensor) -> tf.Tensor:
        of_row = [[formulas.of_example(part, row) for part in parts] for parts in parts_of_weights]
        return squares(of_row, 1, tf.float64)[0]

    # one example after the other: XLA keeps memory for this branch, taken or not, and the batch in float64 would be
    # several times what training takes
    def in_turn() -> tf.Tensor:
        return tf.map_fn(of_one, tf.range(rows), fn_output_signature=tf.float64, parallel_iterations=1)

    # a separate function: Grappler rewrites inlined code, and then runs unused parts of it
    wide = tf.function(in_turn, autograph=False, experimental_attributes={"_noinline": True})
    return tf.cond(tf.reduce_all(tf.math.is_finite(values)), lambda: tf.cast(values, tf.float64), wide)


def wide(variables: Any) -> tf.DType:
    return tf.float64 if any(variable.dtype == "float64" for variable in variables) else tf.float32
