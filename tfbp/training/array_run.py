"""Training on arrays in memory, addressed by epoch and step; each block of steps is one compiled program.

N samples, B batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfbp.training.arrays import order_of
from tfbp.training.block import take
from tfbp.training.programs import program
from tfbp.training.statistics import as_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfbp.training.model import Model
    from tfbp.training.statistics import Measured, Statistics


class ArrayRun:
    """Steps on arrays, addressed by epoch and step; the same address gives the same batch, in any run.

    Attributes:
        batch_size: B.
        steps: of an epoch.
    """

    def __init__(self, model: Model, data: tuple[tf.Tensor, ...], batch_size: int, shuffle: bool = False) -> None:
        self.data = data
        self.rows = len(data[0])
        self.steps = math.ceil(self.rows / batch_size)
        self.batch_size = batch_size
        self._model, self._shuffle = model, shuffle
        self._full = self.rows // batch_size
        self._order: tuple[int, np.ndarray, tf.Tensor] | None = None
        self._programs: dict[str, Any] = {}
        self._measure_every: int | None = None

    def train(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """Run the steps of an epoch from `start` to before `stop`: their losses."""
        losses = []
        while start < stop:
            due = self._next_measured(epoch, start)
            if due == start:
                losses.append(self._measured_step(epoch, start))
                start += 1
            else:
                end = stop if due is None else min(stop, due)
                losses.append(self._run("train", epoch, start, end))
                start = end
        return np.concatenate(losses)

    def train_epochs(self, orders: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """Train on the first `count` of some `orders`, an epoch each, in one program.

        Returns:
            The mean loss of each, and whether these and the weights after them are finite.
        """
        losses, weights_are_finite = self._call("epochs", orders, count)
        losses = losses.numpy()[:count]
        return losses, bool(weights_are_finite) and bool(np.isfinite(losses).all())

    def order(self, epoch: int) -> np.ndarray:
        """The rows as an epoch takes them; they follow from its number, so that a resumed run goes on alike."""
        order = order_of(self._model.seed, epoch, self.rows) if self._shuffle else np.arange(self.rows)
        return order.astype(np.int32)

    def measure(self, statistics: Statistics, every: int, write: Callable[[Measured, int], None]) -> None:
        """From here on, measure every so many steps, by their address: a resumed run measures the same ones.

        Args:
            write: takes what was measured, and how many steps the optimizer had done before.
        """
        self._step = statistics.step(min(self.batch_size, self.rows), self.data)
        self._measure_every, self._write = every, write

    @property
    def measures(self) -> bool:
        return self._measure_every is not None

    def measure_no_more(self) -> None:
        self._measure_every = None

    def evaluate(self) -> None:
        """Count all samples into the model's metrics."""
        self._run("test", 0, 0, self.steps)

    def reset_metrics(self) -> None:
        """Before an epoch; its first block forgets the loss so far by itself."""
        for metric in self._model.metrics:
            if metric is not self._model._loss_tracker:
                metric.reset_state()

    def logs(self) -> dict[str, float]:
        """The loss and the metrics of the epoch so far."""
        loss = {"loss": float(self._loss)}
        # asking metrics takes as long as a thousand steps of the smallest network: not where the loss is the only one
        return loss if len(self._model.metrics) == 1 else {**logs_of(self._model), **loss}

    def first_batch(self) -> tuple[tf.Tensor, ...]:
        """The first rows of the arrays."""
        return tuple(array[: self.batch_size] for array in self.data)

    def batch(self, epoch: int, number: int) -> tuple[tf.Tensor, ...]:
        """The arrays of one step."""
        return tuple(take(self.data, self._rows_of_step(epoch, number)))

    def _next_measured(self, epoch: int, start: int) -> int | None:
        """The first step of the epoch, from `start` on, that is to be measured."""
        if self._measure_every is None:
            return None
        # the last batch, where it is not full, would want a program of its own: then it is the step after it
        short = self._full if 0 < self._full < self.steps else None
        before = epoch * self.steps
        if start == 0 and short is not None and epoch and (before - 1) % self._measure_every == 0:
            return 0
        due = start + -(before + start) % self._measure_every
        return due if due < self.steps and due != short else None

    def _measured_step(self, epoch: int, number: int) -> np.ndarray:
        done = int(self._model.optimizer.iterations.numpy())
        rows = self._rows_of_step(epoch, number)
        loss, self._loss, measured = self._step(rows, tf.constant(number == 0), *self.data)
        self._write(as_arrays(measured), done)
        return loss.numpy()[None]

    def _run(self, name: str, epoch: int, start: int, stop: int) -> np.ndarray:
        order, full, losses = self._rows_of(epoch)[1], min(stop, self._full), np.empty(0)
        if start < full:
            block, self._loss = self._call(name, order, [start, full])
            losses = block.numpy()[start:full]
        if stop > self._full:
            rest, self._loss = self._call(f"{name} rest", order)
            losses = np.append(losses, rest.numpy())
        return losses

    def _rows_of(self, epoch: int) -> tuple[np.ndarray, tf.Tensor]:
        """The epoch's order twice: reading a tensor costs a copy of all of it."""
        if self._order is None or self._order[0] != epoch:
            order = self.order(epoch)
            self._order = epoch, order, tf.constant(order)
        return self._order[1:]

    def _rows_of_step(self, epoch: int, number: int) -> tf.Tensor:
        return tf.constant(self._rows_of(epoch)[0][number * self.batch_size : (number + 1) * self.batch_size])

    def _call(self, name: str, *arguments: Any) -> Any:
        """Run a program on the data, traced once: that costs a third of what calling a tf.function costs."""
        arguments = (*map(tf.convert_to_tensor, arguments), *self.data)
        if name not in self._programs:
            function = program(self._model, name, self.batch_size)
            self._programs[name] = function.get_concrete_function(*map(tf.TensorSpec.from_tensor, arguments))
        return self._programs[name](*arguments)


def logs_of(model: Model) -> dict[str, float]:
    """What the model's metrics have counted."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}
