"""Steps on arrays in memory, addressed by epoch and number; each block of steps is one compiled program.

N samples, B batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.fitting import loops, programs
from tfbp.fitting.block import take
from tfbp.fitting.compiler import Way
from tfbp.fitting.residence import OnHost, residence_of
from tfbp.fitting.shuffling import Shuffling, order_of


class Run(ABC):
    """Steps of a model, addressed by epoch and number: what the loop over epochs drives.

    Attributes:
        steps: of an epoch.
        shuffling: what the order of an epoch's rows follows from.
    """

    def __init__(self, model: Any, steps: int, shuffling: Shuffling) -> None:
        self.model, self.steps, self.shuffling = model, steps, shuffling
        self._logs: Any = {}
        self._results: Any = {}

    def train(self, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        """Run the steps of an epoch from `start` to before `stop`; `guarded`, to the first loss that is not finite.

        Returns:
            The number of the step after the last that was run.
        """
        return self._run("train", epoch, start, stop, guarded)

    def evaluate(self, start: int, stop: int) -> None:
        """Count the batches from `start` to before `stop` into the model's metrics."""
        self._run("test", 0, start, stop)

    def logs(self) -> Any:
        """What the last step told."""
        return self._logs

    def results(self) -> Any:
        """What is told of the epoch: the metrics' results, or the last step's logs where their names differ."""
        return self._results

    @property
    def is_guarded(self) -> bool:
        """Whether `train` can end at the first loss that is not finite."""
        return True

    @property
    def is_finite(self) -> bool:
        """Whether the losses that the last step told are."""
        return _are_finite(tf.nest.map_structure(lambda log: log.numpy(), self._logs))

    @abstractmethod
    def is_compiled(self) -> bool | None:
        """Whether XLA compiles the training steps; None before any was traced."""

    @property
    @abstractmethod
    def learned(self) -> dict[tuple[str, ...], float]:
        """The seconds of a step on such batches, for `Pace`."""

    @abstractmethod
    def _run(self, name: str, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        """As `train`, of the steps of a name."""


class ArrayRun(Run):
    """Steps on packed data of N rows; the same address gives the same batch, in any run with the same seed.

    Attributes:
        data: the packed data, as tensors.
        batch_size: B.
        rows: N.
        passes: how often the rows are to be gone through, if known: whether compiling pays follows from it.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        batch_size: int,
        shuffle: Any = False,
        shuffling: Shuffling | None = None,
        passes: int | None = None,
    ) -> None:
        self.data, self.batch_size = data, batch_size
        self.tensors = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
        self.rows = int(self.tensors[0].shape[0])
        super().__init__(model, math.ceil(self.rows / batch_size), shuffling or Shuffling(0))
        self.full = self.rows // batch_size
        self._shuffle, self.passes = shuffle, passes
        self._ways: dict[str, tuple[programs.Programs, Way]] = {}
        # how often the model had trained an epoch of a number before this fit
        self._times = dict(self.shuffling.times)
        self._order: tuple[int, np.ndarray, tf.Tensor] | None = None
        self._residence = residence_of(self.tensors, batch_size)

    def train_again(self, epoch: int, start: int, stop: int) -> None:
        """Run steps again that were run before."""
        self._run("train", epoch, start, stop, guarded=True)

    def train_epochs(
        self, orders: np.ndarray, count: int, start: int = 0, stop: int | None = None
    ) -> tuple[list[dict[str, Any]], bool]:
        """Train on the first `count` of some `orders`, an epoch each, in one program; of each epoch the steps from
        `start` to before `stop`, all by default.

        Returns:
            The logs of each, and whether these and the weights after them are finite.
        """
        between = [start, self.steps if stop is None else stop, self.batch_size]
        arguments = [*map(tf.convert_to_tensor, (orders, count, between)), *self.tensors]
        logs, weights_are_finite = self._call(loops.epochs, arguments, "train")
        steps = min(between[1], self.full) - start
        self._count("train", max(0, steps) * count, count if between[1] > self.full else 0)
        logs = tf.nest.map_structure(lambda log: log.numpy()[:count], logs)
        finite = bool(weights_are_finite) and _are_finite(logs)
        return [tf.nest.map_structure(lambda log, number=number: log[number], logs) for number in range(count)], finite

    def predict(self) -> Any:
        """The model's outputs for all rows, as NumPy arrays."""
        order = tf.range(self.rows)
        parts = []
        if self.full:
            parts.append(self._call(loops.predictions, [order, *self.tensors], "predict"))
        if self.rows % self.batch_size:
            arguments = [order, self._first_of_rest(order), *self.tensors]
            parts.append(self._call(loops.rest, arguments, "predict")[0])
        self._count("predict", self.full, self.rows % self.batch_size > 0)
        arrays = [[tensor.numpy() for tensor in keras.tree.flatten(part)] for part in parts]
        joined = [np.concatenate(each) if len(each) > 1 else each[0] for each in zip(*arrays, strict=True)]
        return keras.tree.pack_sequence_as(parts[0], joined)

    def is_compiled(self) -> bool | None:
        """Whether XLA compiles the training steps; None before any was traced."""
        programs, way = self._ways.get("train", (None, None))
        return None if way is None or programs is not self._programs else way.full if self.full else way.rest

    def order(self, epoch: int) -> np.ndarray:
        """The rows as an epoch takes them; they follow from its number, so that a resumed run goes on alike."""
        if not self._shuffle:
            return np.arange(self.rows, dtype=np.int32)
        order = order_of(self.shuffling.seed, epoch, self.rows, self._times.get(epoch, 0))
        if self._shuffle == "batch":
            # Keras's word for this: each batch keeps its rows
            order = order[np.argsort(order // self.batch_size, kind="stable")]
        return order.astype(np.int32)

    def batch(self, epoch: int, number: int) -> Any:
        """The packed data of one step."""
        tensors = take(self.tensors, self.rows_of_step(epoch, number))
        return programs.unflattened(self.data, tensors)

    def first_batch(self) -> Any:
        """The first rows of the data."""
        return programs.unflattened(self.data, [tensor[: self.batch_size] for tensor in self.tensors])

    def rows_of_step(self, epoch: int, number: int) -> tf.Tensor:
        return tf.constant(self._rows_of(epoch)[0][number * self.batch_size : (number + 1) * self.batch_size])

    def trace(self, name: str = "train") -> None:
        """Make a step's graph, and with it whatever the model builds at its first step.

        Raises:
            Unsuitable: a step whose results do not fit into a loop.
        """
        specs = [tf.TensorSpec.from_tensor(tensor) for tensor in self.tensors]
        rows = min(self.rows, self.batch_size)
        way = self._way(name)
        step = self._programs.step(name, specs, self.batch_size, rows, way.full if self.full else way.rest)
        if name == "predict":
            loops.batch_outputs(step, rows)
        else:
            loops.check_suitable(step)

    def shuffle_by(self, seed: int) -> None:
        """From here on, as a run with this seed."""
        self.shuffling.seed, self._order = seed, None

    @property
    def is_resident(self) -> bool:
        """Whether all data are on the device."""
        return not isinstance(self._residence, OnHost)

    @property
    def bunches_epochs(self) -> bool:
        """Whether `train_epochs` can be called: one program is compiled, or it is not."""
        way = self._way("train")
        return self.is_resident and (way.full == way.rest or not self.full or not self.rows % self.batch_size)

    @property
    def learned(self) -> dict[tuple[str, ...], float]:
        """The seconds of a step on such batches, for `Pace`."""
        batch = self.batch_size, *(tuple(each.shape[1:]) for each in self.tensors)
        return self._programs.learned.setdefault(batch, {})

    @property
    def _programs(self) -> programs.Programs:
        # asked for at every block: a callback may compile the model anew
        return programs.of(self.model, self.data)

    def _run(self, name: str, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        order, reached, end = self._rows_of(epoch), start, min(stop, self.full)
        for piece in self._residence.pieces(order, start, end):
            arguments = [piece.order, tf.constant([piece.start, piece.stop, self.batch_size]), *piece.tensors]
            done, self._logs, self._results = self._call(loops.block, arguments, name, guarded=guarded)
            reached = piece.first + (int(done) if guarded else piece.stop)
            if reached < piece.first + piece.stop:
                return reached
        if stop > self.full and not (guarded and reached > start and not self.is_finite):
            tensors, rest = self._residence.rest(order)
            arguments = [rest, self._first_of_rest(rest), *tensors]
            self._logs, self._results = self._call(loops.rest, arguments, name)
            reached = stop
        self._count(name, min(reached, self.full) - start, reached > self.full)
        return reached

    def _call(self, make: Any, arguments: list[tf.Tensor], name: str, **options: Any) -> Any:
        """Run a program, and where "auto" gave it to XLA in vain, without."""
        known = self._programs
        try:
            return known.call(make, self.batch_size, arguments, name, self._way(name), **options)
        except programs.Conceded:
            self._ways[name] = known, Way(False, False)
            return known.call(make, self.batch_size, arguments, name, Way(False, False), **options)

    def _way(self, name: str) -> Way:
        """Which batches XLA compiles: decided once a run, and anew where a callback compiles the model anew."""
        known = self._programs
        if name not in self._ways or self._ways[name][0] is not known:
            self._ways[name] = known, known.way(name, self.tensors, self.batch_size, self.passes)
        return self._ways[name][1]

    def _count(self, name: str, full: int, rest: int) -> None:
        """Remember how many batches were run."""
        known = self._programs.ran
        for is_rest, number in ((False, full), (True, rest)):
            if number > 0:
                key = programs.key_of(name, self.batch_size, self.tensors, is_rest)
                known[key] = known.get(key, 0) + int(number)

    def _first_of_rest(self, order: tf.Tensor) -> tf.Tensor:
        return tf.constant(order.shape[0] // self.batch_size * self.batch_size)

    def _rows_of(self, epoch: int) -> tuple[np.ndarray, tf.Tensor]:
        """The epoch's order twice: reading a tensor costs a copy of all of it."""
        if self._order is None or self._order[0] != epoch:
            order = self.order(epoch)
            self._order = epoch, order, tf.constant(order)
        return self._order[1:]


def _are_finite(logs: Any) -> bool:
    """`loops.losses_are_finite` of arrays: calls of TensorFlow would take as long as a short block."""
    return all(np.isfinite(loss).all() for loss in loops.losses(logs))
