"""Compiles private steps to one program: sample, clip, sum, noise, update, count, many times.

    g = (Σ_b min(1, C / ‖g_b‖) g_b + σ C · normal) / (q N) + gradient of penalties on weights

N rows, P rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfbp.fitting.block import take
from tfbp.fitting.loops import nothing_of
from tfbp.fitting.steps import unflattened
from tfbp.manual.compiled import is_compiled
from tfbp.privacy import sampling
from tfbp.privacy.clipping import clipped
from tfbp.privacy.counting import count
from tfbp.privacy.ledger import ROWS, Ledger, Stretch
from tfbp.privacy.update import update
from tfbp.privacy.ways import Way

# the multiple of batch sizes: oneDNN's kernels take time to prepare for another size
SIZES = 16


@dataclass(frozen=True)
class Plan:
    """The settings of a fit's steps.

    Attributes:
        stretch: the steps' settings. batch_size: B. chunk: P.
        exact_logs: whether losses and metrics of the examples are counted.
        is_cut: whether a chunk is cut to the rows that were drawn, unless XLA compiles it.
    """

    way: Way
    stretch: Stretch
    batch_size: int
    chunk: int
    exact_logs: bool
    is_cut: bool = False


def block(model: Any, ledger: Ledger, plan: Plan, structure: Any) -> Callable[..., Any]:
    """Maps (order (N,), between (2,), *data) to the logs after the steps between[0] to between[1] - 1."""

    def steps(order: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        logs = nothing_of(_logs(model, plan))

        def one(number: tf.Tensor, logs: Any) -> Any:
            return number + 1, step(model, ledger, plan, structure, order, number, data)

        # one step at a time: each reads the weights of the step before
        _, logs = tf.while_loop(lambda number, _: number < between[1], one, (between[0], logs), parallel_iterations=1)
        return logs

    return steps


def step(model: Any, ledger: Ledger, plan: Plan, structure: Any, order: Any, number: Any, data: Any) -> Any:
    """Runs one private step; returns the logs after it."""
    stretch, variables = plan.stretch, model.trainable_variables
    dtype = tf.float64 if any(variable.dtype == "float64" for variable in variables) else tf.float32
    key, draws = tf.convert_to_tensor(ledger.key.value), tf.convert_to_tensor(ledger.draws.value)
    updates = tf.cast(tf.convert_to_tensor(model.optimizer.iterations), tf.int64)
    # such as a callback's
    ledger.strange_updates.assign_add(tf.maximum(updates - tf.convert_to_tensor(ledger.known_updates.value), 0))
    if stretch.sampling == "poisson":
        draw = sampling.poisson(key[2:], draws, stretch.rate, stretch.rows, plan.chunk)
    else:
        draw = sampling.shuffled(order, number, plan.batch_size, stretch.rows, plan.chunk)

    def chunk(number: Any, last: Any, more: Any, sums: Any, skipped: Any) -> Any:
        rows, taken, last, more = draw(number, last)
        if plan.is_cut and not is_compiled():
            # taken rows come first
            size = -(-tf.reduce_sum(tf.cast(taken, tf.int32)) // SIZES) * SIZES
            size = tf.clip_by_value(size, min(SIZES, plan.chunk), plan.chunk)
            rows, taken = rows[:size], taken[:size]
        batch = unflattened(structure, take(data, rows))
        with tf.name_scope("examples"):
            losses, outputs, added, good = clipped(model, plan.way, batch, stretch.clip, dtype, taken)
        if plan.exact_logs:
            count(model, batch, losses, outputs, good)
        sums = _added(number, sums, added)
        lost = tf.reduce_sum(tf.cast(taken & ~good, tf.int64))
        return number + 1, last, more, sums, skipped + lost

    begin = [tf.zeros(variable.shape, dtype) for variable in variables]
    first = tf.constant(0), tf.constant(-1, tf.int64), tf.constant(True), begin, tf.constant(0, tf.int64)
    *_, sums, skipped = tf.while_loop(lambda _, last, more, *others: more, chunk, first, parallel_iterations=1)
    update(model, sums, key[:2], draws, stretch.noise * stretch.clip, stretch.rate * stretch.rows)
    ledger.draws.assign(draws + 1)
    ledger.skipped.assign_add(skipped)
    ledger.counts.assign_add(tf.one_hot(ledger.current.value - 1, ROWS, dtype=tf.int64))
    ledger.known_updates.assign(tf.cast(tf.convert_to_tensor(model.optimizer.iterations), tf.int64))
    return _logs(model, plan)


def _added(number: tf.Tensor, sums: list[tf.Tensor], added: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sums of the chunks so far; those of a first chunk are not added to zeros."""
    if is_compiled():
        return [total + each for total, each in zip(sums, added, strict=True)]

    def both() -> list[tf.Tensor]:
        return [total + each for total, each in zip(sums, added, strict=True)]

    total_of_all = tf.cond(tf.equal(number, 0), lambda: [tf.identity(term) for term in added], both)
    for each, total in zip(total_of_all, sums, strict=True):
        each.set_shape(total.shape)
    return total_of_all


def _logs(model: Any, plan: Plan) -> Any:
    return dict(model.get_metrics_result()) if plan.exact_logs else {}
