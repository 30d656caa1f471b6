"""Private steps in one program: sample, clip, sum, noise, update, count, many times over.

    g = (Σ_b min(1, C / ‖g_b‖) g_b + σ C · normal) / (q N) + that of penalties on weights

N rows, P rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfbp.fitting.block import take
from tfbp.fitting.loops import nothing_of
from tfbp.fitting.programs import unflattened
from tfbp.manual.compiled import is_compiled
from tfbp.privacy import sampling
from tfbp.privacy.clipping import clipped
from tfbp.privacy.counting import count
from tfbp.privacy.ledger import ROWS, Ledger, Stretch
from tfbp.privacy.update import update
from tfbp.privacy.ways import Way

# a batch of another size takes oneDNN's kernels some time to prepare: so sizes come in these multiples
SIZES = 16


@dataclass(frozen=True)
class Plan:
    """What the steps of a fit are made by.

    Attributes:
        stretch: their settings. batch_size: B. chunk: P.
        exact_logs: whether losses and metrics of the examples are counted.
        is_cut: whether a chunk is cut to the rows that were drawn, where XLA does not compile it.
    """

    way: Way
    stretch: Stretch
    batch_size: int
    chunk: int
    exact_logs: bool
    is_cut: bool = False


def block(model: Any, ledger: Ledger, plan: Plan, structure: Any) -> Callable[..., Any]:
    """(order (N,), between (2,), *data) to the logs after the steps from number between[0] to before between[1]."""

    def steps(order: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        logs = nothing_of(_logs(model, plan))

        def one(number: tf.Tensor, logs: Any) -> Any:
            return number + 1, step(model, ledger, plan, structure, order, number, data)

        # one step at a time: each reads the weights that the one before has written
        _, logs = tf.while_loop(lambda number, _: number < between[1], one, (between[0], logs), parallel_iterations=1)
        return logs

    return steps


def step(model: Any, ledger: Ledger, plan: Plan, structure: Any, order: Any, number: Any, data: Any) -> Any:
    """One private step: the logs after it."""
    stretch, variables = plan.stretch, model.trainable_variables
    dtype = tf.float64 if any(each.dtype == "float64" for each in variables) else tf.float32
    key, draws = tf.convert_to_tensor(ledger.key.value), tf.convert_to_tensor(ledger.draws.value)
    if stretch.sampling == "poisson":
        draw = sampling.poisson(key[2:], draws, stretch.rate, stretch.rows, plan.chunk)
    else:
        draw = sampling.shuffled(order, number, plan.batch_size, stretch.rows, plan.chunk)

    def chunk(number: Any, last: Any, more: Any, sums: Any, skipped: Any) -> Any:
        rows, taken, last, more = draw(number, last)
        if plan.is_cut and not is_compiled():
            # those that were taken come first
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

    begin = [tf.zeros(each.shape, dtype) for each in variables]
    first = tf.constant(0), tf.constant(-1, tf.int64), tf.constant(True), begin, tf.constant(0, tf.int64)
    *_, sums, skipped = tf.while_loop(lambda _, last, more, *others: more, chunk, first, parallel_iterations=1)
    update(model, sums, key[:2], draws, stretch.noise * stretch.clip, stretch.rate * stretch.rows)
    ledger.draws.assign(draws + 1)
    ledger.skipped.assign_add(skipped)
    ledger.counts.assign_add(tf.one_hot(ledger.current.value - 1, ROWS, dtype=tf.int64))
    ledger.known_updates.assign(tf.cast(model.optimizer.iterations.value, tf.int64))
    return _logs(model, plan)


def _added(number: tf.Tensor, sums: list[tf.Tensor], added: list[tf.Tensor]) -> list[tf.Tensor]:
    """The sums of the chunks so far; a first chunk's are not added to zeros."""
    if is_compiled():
        return [total + each for total, each in zip(sums, added, strict=True)]

    def both() -> list[tf.Tensor]:
        return [total + each for total, each in zip(sums, added, strict=True)]

    made = tf.cond(tf.equal(number, 0), lambda: [tf.identity(each) for each in added], both)
    for each, total in zip(made, sums, strict=True):
        each.set_shape(total.shape)
    return made


def _logs(model: Any, plan: Plan) -> Any:
    return dict(model.get_metrics_result()) if plan.exact_logs else {}
