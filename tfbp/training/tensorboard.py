"""Keras's TensorBoard callback, with what only a backward pass by hand has in its hands."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting.run import ArrayRun
from tfbp.network.validation import check_x, check_y
from tfbp.training import filters, summaries
from tfbp.training.measured_run import is_measurable
from tfbp.training.model import Model
from tfbp.training.statistics import Measured, Statistics
from tfbp.training.structures import batch_of

ACCEPTED = "accepted: a directory that can be written"
# statistics that wait to be written
MOST_PENDING = 64
NO_BATCH = "batch: got None with data that are not arrays in memory; accepted: (x, y), or every=None for no statistics."


class TensorBoard(keras.callbacks.TensorBoard):
    """`keras.callbacks.TensorBoard` for a `tfbp.Model`, with the statistics of `Statistics` every some steps.

    Beside Keras's own curves, runs (train, validation) and tags, the run train gains

    - histograms and norms of every layer's output y, delta dz, weights and gradients; the update-to-weight ratio; the
      shares of dead and of saturated units; with `compare`, the difference between the gradients of manual and tape;
    - the filters of the first convolution, where there is one, as an image after every epoch;
    - a layout for the Custom Scalars page: one chart a quantity, on which all runs below the log directory meet;
    - the hyperparameters, for the HParams page, and the graph of the network, forward and backward.

    On arrays in memory the statistics are of the training step itself: every `every`th step is taken by a program that
    returns them too, at no second backward pass. With a `batch`, under a distribution strategy and in Keras's own loop
    (tf.data, generators), and for a second such callback, they are of one fixed batch, at the weights as they stand:
    one pass more, at the end of the block where they are due.

    Args:
        log_dir: a directory, e.g. logs/fashion_mnist/manual; runs side by side share charts.
        every: steps from one writing of the statistics to the next; None for no statistics.
        compare: run the other writing on the batch too.
        batch: (x, y) or (x, y, sample_weight), arrays, to measure in place of the training batches. Needed with tf.data
            and generators.
        hparams: names and values to show beside those of the model and the optimizer.
        write_graph: whether to write the network's graph.
        options: `keras.callbacks.TensorBoard`'s other arguments.

    Raises:
        InputError: a directory that cannot be written, `every` below 1, another model than a `tfbp.Model`, a batch that
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
        ['update_to_weight/layer_0/kernel', 'update_to_weight/layer_0/bias', 'units_dead/layer_0']

    Reference: https://keras.io/api/callbacks/tensorboard/
    """

    reads_blocks = True

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
        # where blocks are to end, see `Pace`
        self.block_interval: int | None = None
        self._message: summaries.StatisticsMessage | None = None
        self._writes_graph = write_graph
        self._pending: deque[Future[None]] = deque()

    def set_model(self, model: Model) -> None:
        if not isinstance(model, Model):
            raise InputError(f"model: got a {type(model).__name__}; accepted: a tfbp.Model.")
        _check_writable(self.log_dir)
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        self._writing = ThreadPoolExecutor(1, "tfbp-tensorboard")
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        with self._train_writer.as_default():
            if self._writes_graph:
                tf.summary.graph(summaries.graph(model))
            if self.every is not None:
                if self.statistics is None or self.statistics.programs is not model.replica_programs:
                    self.statistics = Statistics(model, self.compare)
                    self._message = None
                self._begin_statistics(self.statistics, self.every)
            values = {**summaries.hparams_of(model, self._batch_size()), **self.hparams}
            for message in summaries.hparams(values, model.get_metrics_result(), self.log_dir):
                summaries.write(message, step=0)
            summaries.write(summaries.layout(model, self.statistics), step=0)
        self._flush()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Keras's goes through the motions of writing even where nothing is to be written
        super().on_train_batch_end(batch, None if self.update_freq == "epoch" else logs)
        if self.block_interval is None or self.statistics is None:
            return
        step = self._iterations()
        if step // self.block_interval > self._written // self.block_interval:
            self._write(self.statistics(self._taken), step)

    def on_train_end(self, logs: Any = None) -> None:
        self._flush()
        self._writing.shutdown()
        super().on_train_end(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        with self._train_writer.as_default():
            filters.write(self.model.network, self.model.parameter_variables, epoch)
        # what is on disk outlives a kill
        self._flush()

    def _begin_statistics(self, statistics: Statistics, every: int) -> None:
        run = self.model.array_run
        if self.batch is None and is_measurable(run):
            self.block_interval = None
            run.measure(statistics, every, self._write)
        else:
            self.block_interval = every
            self._taken = self._take_batch(run)
            self._write(statistics(self._taken), self._iterations())

    def _write(self, measured: Measured, step: int) -> None:
        """Leave it to a thread to write: training goes on meanwhile."""
        if len(self._pending) >= MOST_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._writing.submit(self._write_now, measured, step))
        self._written = step

    def _write_now(self, measured: Measured, step: int) -> None:
        if self._message is None:
            assert self.statistics is not None
            self._message = summaries.StatisticsMessage(self.statistics)
        with self._train_writer.as_default():
            summaries.write(self._message.fill(*measured), step)

    def _iterations(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _batch_size(self) -> int | None:
        if self.model.array_run is not None:
            return self.model.array_run.batch_size
        return None if self.every is None else len(keras.tree.flatten(self._taken)[0])

    def _take_batch(self, run: ArrayRun | None) -> tuple[tf.Tensor, ...]:
        network, batch = self.model.network, self.batch
        if batch is None:
            if run is None:
                raise InputError(NO_BATCH)
            return run.first_batch()
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise InputError(f"batch: got a {type(batch).__name__}; accepted: (x, y) or (x, y, sample_weight).")
        tensors = keras.tree.map_structure(tf.convert_to_tensor, batch_of(self.model, tuple(batch)), none_is_leaf=False)
        check_x(network, tensors[0])
        check_y(network, *tensors)
        return tuple(each for each in tensors if each is not None)

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending.popleft().result()
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
