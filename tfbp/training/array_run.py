"""Training on arrays in memory, addressed by epoch and step; each block of steps is one compiled program.

N samples, B batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfbp.training.arrays import order_of
from tfbp.training.block import run_block, run_rest

if TYPE_CHECKING:
    from tfbp.training.model import Model


class ArrayRun:
    """Training on arrays, addressed by epoch and step; the same address gives the same batch, in any run."""

    def __init__(self, model: Model, data: tuple[tf.Tensor, ...], batch_size: int, shuffle: bool) -> None:
        self.data = data
        self.rows = len(data[0])
        self.steps = math.ceil(self.rows / batch_size)
        self._model, self._batch_size, self._shuffle = model, batch_size, shuffle
        self._full = self.rows // batch_size
        self._order: tuple[int, tf.Tensor] | None = None

    def train(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """Run the steps of an epoch from `start` to before `stop`: their losses."""
        order, full = self._rows_of(epoch), min(stop, self._full)
        losses = np.empty(0)
        if start < full:
            block = program(self._model, "train")(
                self.data, order, self._batch_size, tf.constant(start), tf.constant(full)
            )
            losses = block.numpy()[start:full]
        if stop > self._full:
            rest = program(self._model, "train rest")(self.data, order, self._batch_size)
            losses = np.append(losses, rest.numpy())
        return losses

    def batch(self, epoch: int, step: int) -> tuple[tf.Tensor, ...]:
        """The arrays of one step."""
        rows = self._rows_of(epoch)[step * self._batch_size : (step + 1) * self._batch_size]
        return tuple(tf.gather(array, rows) for array in self.data)

    def _rows_of(self, epoch: int) -> tf.Tensor:
        """The rows in the epoch's order; it follows from the epoch's number, so that a resumed run goes on alike."""
        if self._order is None or self._order[0] != epoch:
            order = order_of(self._model.seed, epoch, self.rows) if self._shuffle else np.arange(self.rows)
            self._order = epoch, tf.constant(order, tf.int32)
        return self._order[1]


def program(model: Model, name: str) -> Any:
    """A compiled program of the model, made once after each compile."""
    if name not in model._programs:
        step = {"train": model._train_batch, "test": model._test_batch}[name.split()[0]]

        def one(*batch: tf.Tensor) -> tuple[tf.Tensor]:
            return (step(*batch),)

        dtype = tf.float64 if model.compute_dtype == "float64" else tf.float32

        def block(data: Any, order: Any, batch_size: int, start: Any, stop: Any) -> Any:
            (losses,) = run_block(one, (dtype,), data, order, batch_size, start, stop)
            # counted once for all steps: losses are 0 where no step was run
            steps = stop - start
            model.count_loss(tf.reduce_sum(losses) / tf.cast(steps, dtype), steps * batch_size)
            return losses

        def rest(data: Any, order: Any, batch_size: int) -> Any:
            (loss,) = run_rest(one, data, order, batch_size)
            model.count_loss(loss, order.shape[0] % batch_size)
            return loss

        function = rest if name.endswith("rest") else block
        model._programs[name] = tf.function(function, jit_compile=model.jit_compile, autograph=False)
    return model._programs[name]


def on_device(arrays: tuple[np.ndarray, ...]) -> tuple[tf.Tensor, ...]:
    return tuple(tf.convert_to_tensor(array) for array in arrays)
