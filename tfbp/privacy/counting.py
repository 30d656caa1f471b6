"""Updates losses and metrics with a chunk's taken examples alone. B rows of a chunk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


def count(model: Any, batch: Any, losses: tf.Tensor, outputs: Any, good: tf.Tensor) -> None:
    """Updates the model's metrics with a chunk; an example that is not good counts nowhere."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    rows = tf.cast(tf.reduce_sum(tf.cast(good, tf.int32)), losses.dtype)
    total = tf.reduce_sum(tf.where(good, losses, 0))
    model._loss_tracker.update_state(total / tf.maximum(rows, 1), sample_weight=rows)
    weights = tf.cast(good, keras.config.floatx())
    if sample_weight is not None:
        sample_weight = keras.tree.map_structure(
            lambda leaf: None if leaf is None else tf.where(_per_row(good, leaf), leaf, tf.zeros_like(leaf)),
            sample_weight,
        )
    with _of_rows(model, weights):
        model.compute_metrics(x, y, outputs, sample_weight=weights if sample_weight is None else sample_weight)


@contextlib.contextmanager
def _of_rows(model: Any, weights: tf.Tensor) -> Iterator[None]:
    """Restricts the metrics without Keras weights to some rows."""
    metrics = model._compile_metrics
    if metrics is None:
        yield
        return
    flat_metrics = metrics._flat_metrics
    try:
        metrics._flat_metrics = [metric and _Weighted(metric, weights) for metric in flat_metrics]
        yield
    finally:
        metrics._flat_metrics = flat_metrics


class _Weighted:
    def __init__(self, metric: Any, weights: tf.Tensor) -> None:
        self._metric, self._weights = metric, weights

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        self._metric.update_state(y_true, y_pred, sample_weight=self._weights)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metric, name)


def _per_row(good: tf.Tensor, leaf: tf.Tensor) -> tf.Tensor:
    return tf.reshape(good, [-1] + [1] * (leaf.shape.rank - 1))
