"""Computes the losses of a batch's examples: their sum for one backward pass, and each separately. B examples."""

from __future__ import annotations

import logging
from typing import Any

import keras
import tensorflow as tf

from tfbp.fitting.steps import unflattened
from tfbp.privacy.keras_internals import get_keras_mask, set_keras_mask
from tfbp.privacy.recording import Unweighted
from tfbp.privacy.ways import Way


def rows_of(x: Any) -> Any:
    """B."""
    first = next(leaf for leaf in keras.tree.flatten(x) if leaf is not None)
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def weights_of(outputs: Any, sample_weight: Any) -> Any:
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


def sum_of_losses(model: Any, way: Way, x: Any, y: Any, outputs: Any, weights: Any, training: bool) -> tf.Tensor:
    """Returns Σ_b ℓ_b."""
    if way.losses == "each":
        return tf.reduce_sum(each_loss(model, way, x, y, outputs, weights, training))
    try:
        loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=training)
    except (ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError) as error:
        if not way.is_weighted:
            raise
        raise Unweighted from error
    return loss * tf.cast(rows_of(x), loss.dtype) if way.losses == "mean" else loss


def each_loss(model: Any, way: Way, x: Any, y: Any, outputs: Any, weights: Any, training: bool) -> tf.Tensor:
    """Returns ℓ_b of every example as a batch of its own, (B,), from the outputs of the whole batch."""
    masks = keras.tree.map_structure(get_keras_mask, outputs)

    def alone(example: Any) -> tf.Tensor:
        x, y, outputs, weights, masks = example
        for output, mask in zip(keras.tree.flatten(outputs), keras.tree.flatten(masks), strict=True):
            if mask is not None:
                set_keras_mask(output, mask)
        return model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=training)

    return mapped(alone, (x, y, outputs, weights, masks), way.in_turn)


def mapped(function: Any, data: Any, in_turn: bool) -> Any:
    """Applies function to each example of nested data, a batch of one, in parallel; in sequence where TensorFlow
    cannot trace that."""
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]

    def of_leaves(example: Any) -> Any:
        return function(unflattened(data, [leaf[None] for leaf in example]))

    log = logging.getLogger("tensorflow")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)
        if not in_turn:
            return tf.vectorized_map(of_leaves, leaves)
    except (TypeError, ValueError, NotImplementedError):
        pass
    finally:
        log.setLevel(level)
    program = tf.function(of_leaves, autograph=False).get_concrete_function(
        [tf.TensorSpec(leaf.shape[1:], leaf.dtype) for leaf in leaves]
    )
    specs = tf.nest.map_structure(lambda output: tf.TensorSpec(output.shape, output.dtype), program.structured_outputs)
    return tf.map_fn(of_leaves, leaves, fn_output_signature=specs, parallel_iterations=1)
