"""The compiled programs of a model that trains or evaluates on arrays in memory, made once after each compile.

N samples, B batch, S full batches of an epoch, E epochs of a program at most.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfbp.training import step
from tfbp.training.block import run_block, run_rest

if TYPE_CHECKING:
    from tfbp.training.model import Model

Step = Callable[..., tf.Tensor]


def program(model: Model, name: str, batch_size: int) -> Any:
    """One of `PROGRAMS` as a tf.function; the model keeps it until it is compiled again."""
    key = f"{name} {batch_size}"
    if key not in model._programs:
        function = PROGRAMS[name](model, batch_size)
        model._programs[key] = tf.function(function, jit_compile=model.jit_compile, autograph=False)
    return model._programs[key]


def block(run: Step, model: Model, batch_size: int) -> Any:
    """The full batches of an epoch from number between[0] to before between[1]: (order, between, *data) to their losses
    (S,), 0 where no step was run, and the mean loss of the epoch so far."""
    dtype = tf.float64 if model.compute_dtype == "float64" else tf.float32

    def one(*batch: tf.Tensor) -> tuple[tf.Tensor]:
        return (run(model, *batch),)

    def steps(order: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        start, stop = between[0], between[1]
        (losses,) = run_block(one, (dtype,), data, order, batch_size, start, stop)
        # counted once for all steps: losses are 0 where no step was run
        number = stop - start
        loss = tf.reduce_sum(losses) / tf.cast(number, dtype)
        return losses, step.count_loss(model, loss, number * batch_size, anew=start == 0)

    return steps


def rest(run: Step, model: Model, batch_size: int) -> Any:
    """The last batch, that is not full: (order, *data) to its loss and the mean loss of the epoch."""

    def last(order: tf.Tensor, *data: tf.Tensor) -> Any:
        (loss,) = run_rest(lambda *batch: (run(model, *batch),), data, order, batch_size)
        rows = order.shape[0]
        return loss, step.count_loss(model, loss, rows % batch_size, anew=tf.constant(rows < batch_size))

    return last


def epochs(model: Model, batch_size: int) -> Any:
    """Whole epochs of training: (orders (E, N), count, *data) to their mean losses (E,), 0 from number `count` on, and
    whether the weights after them are finite."""
    full_batches, last = block(step.train, model, batch_size), rest(step.train, model, batch_size)
    dtype = model._loss_tracker.dtype

    def whole(orders: tf.Tensor, count: tf.Tensor, *data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        most, rows = orders.shape

        def epoch(number: tf.Tensor, losses: tf.TensorArray) -> Any:
            loss = None
            if rows >= batch_size:
                _, loss = full_batches(orders[number], tf.constant([0, rows // batch_size]), *data)
            if rows % batch_size:
                _, loss = last(orders[number], *data)
            return number + 1, losses.write(number, loss)

        losses = tf.TensorArray(dtype, most, element_shape=[]).unstack(tf.zeros([most], dtype))
        # one epoch at a time: each reads the weights that the one before has written
        _, losses = tf.while_loop(lambda number, _: number < count, epoch, (0, losses), parallel_iterations=1)
        finite = [tf.reduce_all(tf.math.is_finite(w.value)) for w in step.variables(model)]
        return losses.stack(), tf.reduce_all(finite)

    return whole


PROGRAMS: dict[str, Callable[[Model, int], Any]] = {
    "train": functools.partial(block, step.train),
    "train rest": functools.partial(rest, step.train),
    "test": functools.partial(block, step.evaluate),
    "test rest": functools.partial(rest, step.evaluate),
    "epochs": epochs,
}
