"""Training on arrays in memory by several replicas: every global batch is cut into one piece for each.

B global batch, R replicas (of all workers), B_r rows of one replica's piece, S full batches of an epoch.

Every worker holds all samples and shuffles them alike, so that any number of workers sees the same global batches. XLA
compiles each replica's arithmetic; it cannot compile the sum over replicas, between gradients and update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.fitting.run import ArrayRun
from tfbp.training import replica


class DistributedRun(ArrayRun):
    """As `ArrayRun`, under the model's strategy; it does not tell the losses of single steps."""

    bunches_epochs = False
    is_guarded = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._replicated = replicate(self.model, self.tensors)

    def logs(self) -> dict[str, Any]:
        return self.model.get_metrics_result()

    results = logs

    def is_compiled(self) -> bool:
        """Whether XLA compiles each replica's gradients."""
        return self.model.compiles_gradients

    def _run(self, name: str, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        model, size, order, full = self.model, self.batch_size, self._rows_of(epoch)[0], min(stop, self.full)
        steps = _program(model, name)
        if start < full:
            pieces = _pieces(model, order[: self.full * size].reshape(-1, size))
            steps(self._replicated, pieces, size, tf.constant(start), tf.constant(full))
        if stop > self.full:
            # a replica may get no row of the last batch, that is not full
            rest = order[self.full * size :]
            steps(self._replicated, _pieces(model, rest[None]), len(rest), tf.constant(0), tf.constant(1))
        return stop


def replicate(model: Any, data: Sequence[tf.Tensor]) -> tuple[Any, ...]:
    """The arrays on every replica of this worker."""
    strategy = model.distribute_strategy

    def replicated(array: tf.Tensor) -> Any:
        devices = iter(strategy.extended.worker_devices)

        def place(context: Any) -> tf.Tensor:
            with tf.device(next(devices)):
                return tf.identity(array)

        return strategy.experimental_distribute_values_from_function(place)

    return tuple(map(replicated, data))


def _pieces(model: Any, batches: np.ndarray) -> Any:
    """Every replica's piece (S, B_r) of the batches (S, B); their sizes differ by one row at most."""
    strategy, size = model.distribute_strategy, batches.shape[1]

    def piece(context: Any) -> tf.Tensor:
        number, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        return tf.constant(batches[:, number * size // replicas : (number + 1) * size // replicas], tf.int32)

    return strategy.experimental_distribute_values_from_function(piece)


def _program(model: Any, name: str) -> Any:
    """The loop over steps as one graph, made once after each compile."""
    key = f"distributed {name}"
    if key not in model.replica_programs:
        step = {"train": replica.train, "test": replica.evaluate}[name]
        strategy = model.distribute_strategy

        def loop(data: Any, pieces: Any, batch_size: int, start: tf.Tensor, stop: tf.Tensor) -> None:
            def on_replica(data: Any, piece: tf.Tensor, index: tf.Tensor) -> None:
                # the shape gives the share of the global batch, without a message from the others
                x, y, weight, *_ = *(tf.gather(array, piece[index]) for array in data), None
                step(model, x, y, weight, piece.shape[1] / batch_size)

            def body(index: tf.Tensor) -> tf.Tensor:
                strategy.run(on_replica, args=(data, pieces, index))
                return index + 1

            # one step at a time: each reads the weights that the one before has written
            tf.while_loop(lambda index: index < stop, body, (start,), parallel_iterations=1)

        model.replica_programs[key] = tf.function(loop, autograph=False)
    return model.replica_programs[key]
