"""Training on arrays in memory by several replicas: every global batch is cut into one piece for each.

B global batch, R replicas (of all workers), B_r rows of one replica's piece, S full batches of an epoch.

Every worker holds all samples and shuffles them alike, so that any number of workers sees the same global batches. XLA
compiles each replica's arithmetic; the sum over replicas stands between gradients and update, where it cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfbp.training import replica
from tfbp.training.array_run import ArrayRun, logs_of

if TYPE_CHECKING:
    from tfbp.training.model import Model


class DistributedRun(ArrayRun):
    """As `ArrayRun`, under the model's strategy; it does not tell the losses of single steps."""

    def __init__(self, model: Model, data: tuple[tf.Tensor, ...], batch_size: int, shuffle: bool = False) -> None:
        super().__init__(model, data, batch_size, shuffle)
        self._replicated = replicate(model, self.data)

    def reset_metrics(self) -> None:
        self._model.reset_metrics()

    def logs(self) -> dict[str, float]:
        return logs_of(self._model)

    def _run(self, name: str, epoch: int, start: int, stop: int) -> np.ndarray:
        model, size, order, full = self._model, self.batch_size, self._rows_of(epoch)[0], min(stop, self._full)
        steps = _program(model, name)
        if start < full:
            pieces = _pieces(model, order[: self._full * size].reshape(-1, size))
            steps(self._replicated, pieces, size, tf.constant(start), tf.constant(full))
        if stop > self._full:
            # a replica may get no row of the last batch, that is not full
            rest = order[self._full * size :]
            steps(self._replicated, _pieces(model, rest[None]), len(rest), tf.constant(0), tf.constant(1))
        return np.empty(0)


def replicate(model: Model, data: tuple[tf.Tensor, ...]) -> tuple[Any, ...]:
    """The arrays on every replica of this worker."""
    strategy = model.distribute_strategy

    def replicated(array: tf.Tensor) -> Any:
        devices = iter(strategy.extended.worker_devices)

        def place(context: Any) -> tf.Tensor:
            with tf.device(next(devices)):
                return tf.identity(array)

        return strategy.experimental_distribute_values_from_function(place)

    return tuple(map(replicated, data))


def _pieces(model: Model, batches: np.ndarray) -> Any:
    """Every replica's piece (S, B_r) of the batches (S, B); their sizes differ by one row at most."""
    strategy, size = model.distribute_strategy, batches.shape[1]

    def piece(context: Any) -> tf.Tensor:
        number, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        return tf.constant(batches[:, number * size // replicas : (number + 1) * size // replicas], tf.int32)

    return strategy.experimental_distribute_values_from_function(piece)


def _program(model: Model, name: str) -> Any:
    """The loop over steps as one graph, made once after each compile."""
    key = f"distributed {name}"
    if key not in model._programs:
        step = {"train": replica.train, "test": replica.evaluate}[name]
        strategy = model.distribute_strategy

        def loop(data: Any, pieces: Any, batch_size: int, start: tf.Tensor, stop: tf.Tensor) -> None:
            def on_replica(data: Any, piece: tf.Tensor, index: tf.Tensor) -> None:
                # the share of the global batch is known from the shape: nothing has to be asked of the others
                x, y, weight, *_ = *(tf.gather(array, piece[index]) for array in data), None
                step(model, x, y, weight, piece.shape[1] / batch_size)

            def body(index: tf.Tensor) -> tf.Tensor:
                strategy.run(on_replica, args=(data, pieces, index))
                return index + 1

            # one step at a time: each reads the weights that the one before has written
            tf.while_loop(lambda index: index < stop, body, (start,), parallel_iterations=1)

        model._programs[key] = tf.function(loop, autograph=False)
    return model._programs[key]
