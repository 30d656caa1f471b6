"""Keras's TensorBoard callback, with what only a backward pass by hand has in its hands."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import keras
import tensorflow as tf

from tfbp.checks import InputError, check_x, check_y
from tfbp.training import summaries
from tfbp.training.model import Model
from tfbp.training.statistics import Statistics

ACCEPTED = "accepted: a directory that can be written"
NO_BATCH = "batch: got None with data that are not arrays in memory; accepted: (x, y), or every=None for no statistics."


class TensorBoard(keras.callbacks.TensorBoard):
    """`keras.callbacks.TensorBoard` for a `tfbp.Model`, with the statistics of `Statistics` every some steps.

    Beside Keras's own curves, runs (train, validation) and tags, the run train gains

    - histograms and norms of every layer's output y, delta dz, weights and gradients; the update-to-weight ratio; the
      shares of dead and of saturated units; with `compare`, how far the gradients of manual and tape lie apart;
    - a layout for the Custom Scalars page: one chart a quantity, on which all runs below the log directory meet;
    - the hyperparameters, for the HParams page, and the graph of the network, forward and backward.

    Statistics are of one fixed batch, at the weights as they stand: one pass more every `every` steps, in a program of
    its own, for no summary can leave a block of steps. Blocks end where they are due, unless
    `compile(steps_per_execution=…)` says how long blocks are: then they are written at the end of the block.

    Args:
        log_dir: a directory, e.g. logs/fashion_mnist/manual; runs side by side share charts.
        every: steps from one writing of the statistics to the next; None for no statistics.
        compare: run the other writing on the batch too.
        batch: (x, y) or (x, y, sample_weight), arrays; by default the first rows of the training data. Needed with
            tf.data and generators.
        hparams: names and values to show beside those of the model and the optimizer.
        write_graph: whether to write the network's graph.
        options: `keras.callbacks.TensorBoard`'s other arguments.

    Raises:
        InputError: a directory that cannot be written, `every` below 1, a model that is no `tfbp.Model`, a batch that
            does not fit the network, or none.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from tfbp import Dense, Model, Network
        >>> model = Model(Network(2, [Dense(4, "relu"), Dense(2)], "sparse_categorical_crossentropy"))
        >>> model.compile("sgd")
        >>> x, y = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32), np.array([0, 1])
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     callback = TensorBoard(directory, every=1)
        ...     history = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
        ...     sorted(os.listdir(directory))
        ['train']
        >>> callback.statistics.scalar_tags[:3]
        ['update_to_weight/layer_0/kernel', 'update_to_weight/layer_0/bias', 'dead/layer_0']

    Reference: https://keras.io/api/callbacks/tensorboard/
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        *,
        every: int | None = 100,
        compare: bool = False,
        batch: tuple[Any, ...] | None = None,
        hparams: dict[str, Any] | None = None,
        write_graph: bool = True,
        **options: Any,
    ) -> None:
        # Keras's own graph is one that the page calls malformed
        super().__init__(log_dir, write_graph=False, **options)
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise InputError(f"every: got {every!r}; accepted: an integer of at least 1, or None.")
        self.every, self.compare, self.batch, self.hparams = every, compare, batch, hparams or {}
        self.statistics: Statistics | None = None
        self._message: summaries.StatisticsMessage | None = None
        self._writes_graph = write_graph

    def set_model(self, model: Model) -> None:
        if not isinstance(model, Model):
            raise InputError(f"model: got a {type(model).__name__}; accepted: a tfbp.Model.")
        _check_writable(self.log_dir)
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        with self._train_writer.as_default():
            if self._writes_graph:
                tf.summary.graph(summaries.graph(model))
            if self.every is not None:
                self._taken = self._take_batch()
                if self.statistics is None or self.statistics.optimizer is not model.optimizer:
                    self.statistics = Statistics(model, self.compare)
                    self._message = None
                self._write_statistics(self.statistics, int(model.optimizer.iterations.numpy()))
            batch_size = None if self.every is None else len(self._taken[0])
            for message in summaries.hparams(model, batch_size, self.hparams):
                summaries.write(message, step=0)
            summaries.write(summaries.layout(model, self.statistics), step=0)
        self._flush()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self.every is None or self.statistics is None:
            return
        step = int(self.model.optimizer.iterations.numpy())
        if step // self.every > self._written // self.every:
            with self._train_writer.as_default():
                self._write_statistics(self.statistics, step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        # what is on disk outlives a kill
        self._flush()

    def _write_statistics(self, statistics: Statistics, step: int) -> None:
        measured = statistics(self._taken)
        if self._message is None:
            self._message = summaries.StatisticsMessage(statistics)
        summaries.write(self._message.fill(*measured), step)
        self._written = step

    def _take_batch(self) -> tuple[tf.Tensor, ...]:
        network, batch = self.model.network, self.batch
        if batch is None:
            if getattr(self.model, "training_batch", None) is None:
                raise InputError(NO_BATCH)
            return self.model.training_batch
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise InputError(f"batch: got a {type(batch).__name__}; accepted: (x, y) or (x, y, sample_weight).")
        tensors = tuple(tf.convert_to_tensor(array) for array in batch)
        check_x(network, tensors[0])
        check_y(network, *tensors)
        return tensors

    def _flush(self) -> None:
        try:
            for writer in self._writers.values():
                writer.flush()
        except tf.errors.OpError as error:
            raise InputError(f"log_dir: got {self.log_dir!r} ({error.message}); {ACCEPTED}.") from error


def _check_writable(log_dir: str) -> None:
    """Raise before training, not at the first summary; remote file systems are TensorFlow's to judge."""
    if "://" in log_dir:
        return
    try:
        os.makedirs(log_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=log_dir):
            pass
    except OSError as error:
        raise InputError(f"log_dir: got {log_dir!r} ({error.strerror}); {ACCEPTED}.") from error
