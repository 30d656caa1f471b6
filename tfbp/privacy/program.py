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
from tfbp.privacy import noise, sampling
from tfbp.privacy.clipping import clipped
from tfbp.privacy.counting import count
from tfbp.privacy.examples import Way
from tfbp.privacy.ledger import ROWS, Ledger, Stretch


@dataclass(frozen=True)
class Plan:
    """The settings of a fit's steps.

    Attributes:
        stretch: the steps' settings. batch_size: B. chunk: P.
        exact_logs: whether losses and metrics of the examples are counted.
    """

    way: Way
    stretch: Stretch
    batch_size: int
    chunk: int
    exact_logs: bool


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
    if stretch.sampling == "poisson":
        draw = sampling.poisson(key[2:], draws, stretch.rate, stretch.rows, plan.chunk)
    else:
        draw = sampling.shuffled(order, number, plan.batch_size, stretch.rows, plan.chunk)

    def chunk(number: Any, last: Any, more: Any, sums: Any, skipped: Any) -> Any:
        rows, taken, last, more = draw(number, last)
        batch = unflattened(structure, take(data, rows))
        with tf.name_scope("examples"):
            losses, outputs, added, good = clipped(model, plan.way, batch, stretch.clip, dtype, taken)
        if plan.exact_logs:
            count(model, batch, losses, outputs, good)
        sums = [total + each for total, each in zip(sums, added, strict=True)]
        lost = tf.reduce_sum(tf.cast(taken & ~good, tf.int64))
        return number + 1, last, more, sums, skipped + lost

    begin = [tf.zeros(variable.shape, dtype) for variable in variables]
    first = tf.constant(0), tf.constant(-1, tf.int64), tf.constant(True), begin, tf.constant(0, tf.int64)
    *_, sums, skipped = tf.while_loop(lambda _, last, more, *others: more, chunk, first, parallel_iterations=1)
    with tf.name_scope("noise"):
        gradients = noise.noised(sums, key[:2], draws, stretch.noise * stretch.clip, stretch.rate * stretch.rows)
    apply(model, gradients)
    ledger.draws.assign(draws + 1)
    ledger.skipped.assign_add(skipped)
    ledger.counts.assign_add(tf.one_hot(ledger.current.value - 1, ROWS, dtype=tf.int64))
    ledger.known_updates.assign(tf.cast(model.optimizer.iterations.value, tf.int64))
    return _logs(model, plan)


def apply(model: Any, gradients: list[tf.Tensor]) -> None:
    """Updates the trainable weights, with penalties: a term that depends on weights alone needs no noise."""
    variables = model.trainable_variables
    own = hasattr(model, "gradients_of_penalties")
    penalties = model.gradients_of_penalties() if own else _of_penalties(variables)
    gradients = [
        gradient if penalty is None else gradient + tf.cast(penalty, gradient.dtype)
        for gradient, penalty in zip(gradients, penalties, strict=True)
    ]
    # an optimizer that scales losses divides the gradients by that scale
    one = tf.ones([], gradients[0].dtype)
    scale = model.optimizer.scale_loss(one)
    gradients = gradients if scale is one else [gradient * scale for gradient in gradients]
    scaled = [tf.cast(gradient, each.dtype) for gradient, each in zip(gradients, variables, strict=True)]
    model.optimizer.apply_gradients(zip(scaled, variables, strict=True))


def _of_penalties(variables: list[Any]) -> list[Any]:
    """Returns the gradient of each weight's own penalty, None without one."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        values = [tf.convert_to_tensor(variable.value) for variable in variables if variable.regularizer is not None]
        tape.watch(values)
        given = [variable for variable in variables if variable.regularizer is not None]
        total = tf.add_n([each.regularizer(value) for each, value in zip(given, values, strict=True)] or [tf.zeros([])])
    found = dict(zip(map(id, given), tape.gradient(total, values) if values else [], strict=True))
    return [found.get(id(variable)) for variable in variables]


def _logs(model: Any, plan: Plan) -> Any:
    return dict(model.get_metrics_result()) if plan.exact_logs else {}
