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

from tfbp.fitting import contract, loops, programs, tables
from tfbp.fitting.block import take
from tfbp.fitting.compiler import Way
from tfbp.fitting.residence import OnHost, Resident, residence_of
from tfbp.fitting.sharing import with_room
from tfbp.fitting.shuffling import Shuffling, order_of
from tfbp.fitting.steps import unflattened


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
        self.begin("train", runs=True)
        return self._run("train", epoch, start, stop, guarded)

    def evaluate(self, start: int, stop: int) -> None:
        """Count the batches from `start` to before `stop` into the model's metrics."""
        self.begin("test", runs=True)
        self._run("test", 0, start, stop)

    def begin(self, name: str, runs: bool = False) -> None:
        """Trace a step again that was never run, where callbacks have changed meanwhile what its trace depends on.

        Args:
            runs: it is run now.
        """
        if tables.is_stale(self.model, name):
            if name == "train":
                contract.build_optimizer(self.model)
            self.trace(name)
            tables.note(self.model, name)
        if runs:
            tables.will_run(self.model, name)

    def resumed(self, epoch: int) -> tuple[int, int]:
        """The epoch and its step that a fit goes on with after a backup that names an epoch: as in Keras, its first."""
        return epoch, 0

    def logs(self) -> Any:
        """The logs of the last step."""
        return self._logs

    def results(self) -> Any:
        """The logs of the epoch: the metrics' results, or the last step's logs where their names differ."""
        return self._results

    @property
    def is_guarded(self) -> bool:
        """Whether `train` can end at the first loss that is not finite."""
        return True

    @property
    def is_finite(self) -> bool:
        """Whether the losses in the last step's logs are finite."""
        return _are_finite(tf.nest.map_structure(lambda log: log.numpy(), self._logs))

    @abstractmethod
    def trace(self, name: str = "train") -> Any:
        """A step's graph, and with it whatever the model builds at its first step.

        Raises:
            Unsuitable: a step that Keras's own loop is to run.
        """

    def variables(self) -> list[tf.Variable]:
        """The variables that a training step reads, as far as it was traced."""
        return []

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
        tensors: the data's; where XLA compiles the steps they have some rows more, see `room`.
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
        self.full, self.left = divmod(self.rows, batch_size)
        self._shuffle, self.passes = shuffle, passes
        self._structure = tables.structure_of(data)
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
        self.begin("train", runs=True)
        stop = self.steps if stop is None else stop
        numbers = [count, start, stop, self.batch_size, self.full * self.batch_size, self.rows]
        options: dict[str, Any] = {"full": self.full > 0, "left": self.left}
        orders = tf.convert_to_tensor(orders)
        logs, weights_are_finite = self._call(loops.epochs, "train", orders, numbers, self.tensors, **options)
        self._count("train", max(0, min(stop, self.full) - start) * count, count if stop > self.full else 0)
        logs = tf.nest.map_structure(lambda log: log.numpy()[:count], logs)
        finite = bool(weights_are_finite) and _are_finite(logs)
        return [tf.nest.map_structure(lambda log, number=number: log[number], logs) for number in range(count)], finite

    def orders(self, epochs: range, most: int) -> np.ndarray:
        """The orders of some epochs, with room for `most`, as `train_epochs` takes them."""
        orders = np.zeros([most, room(self.rows) if any(self._way("train")) else self.rows], np.int32)
        for number, epoch in enumerate(epochs):
            orders[number, : self.rows] = self.order(epoch)
        return orders

    def predict(self) -> Any:
        """The model's outputs for all rows, as NumPy arrays."""
        order, parts = np.arange(self.rows, dtype=np.int32), []
        self.begin("predict", runs=True)
        self._way("predict")
        if self.full:
            arguments = (self._order_tensor(order), [self.full], self.tensors)
            parts.append(self._call(loops.predictions, "predict", *arguments, even=not self.left))
        if self.left:
            arguments = (tf.constant(order[-self.left :]), [self.left], self.tensors)
            parts.append(self._call(loops.rest, "predict", *arguments, left=self.left)[0])
        self._count("predict", self.full, self.left > 0)
        arrays = [[tensor.numpy() for tensor in keras.tree.flatten(part)] for part in parts]
        if self.full:
            arrays[0] = [array[: self.full * self.batch_size] for array in arrays[0]]
        joined = [np.concatenate(each) if len(each) > 1 else each[0] for each in zip(*arrays, strict=True)]
        return keras.tree.pack_sequence_as(parts[0], joined)

    def is_compiled(self) -> bool | None:
        """Whether XLA compiles the training steps; None before any was traced."""
        known, way = self._ways.get("train", (None, None))
        is_current = known is self._known("train")
        return None if way is None or not is_current else way.full if self.full else way.rest

    def variables(self) -> list[tf.Variable]:
        """As `Run.variables`."""
        return self._known("train").variables("train")

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
        return unflattened(self.data, tensors)

    def first_batch(self) -> Any:
        """The first rows of the data."""
        return unflattened(self.data, [tensor[: self.batch_size] for tensor in self.tensors])

    def rows_of_step(self, epoch: int, number: int) -> tf.Tensor:
        return tf.constant(self._rows_of(epoch)[0][number * self.batch_size : (number + 1) * self.batch_size])

    def trace(self, name: str = "train") -> Any:
        """As `Run.trace`."""
        contract.build_state(self.model, self.data, name)
        self._ways.pop(name, None)  # decided by the step
        way, known = self._way(name), self._known(name)
        compiled, rows = way.full if self.full else way.rest, min(self.rows, self.batch_size)
        specs = list(map(tf.TensorSpec.from_tensor, self.tensors)) if compiled else known.specs_of(self.tensors)
        step = known.step(name, specs, self.batch_size, not self.left, rows, compiled)
        if name == "predict":
            loops.batch_outputs(step, rows)
        else:
            loops.check_suitable(step)
        loops.check_draws(step, compiled)
        return step

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
        return self.is_resident and (way.full == way.rest or not self.full or not self.left)

    @property
    def learned(self) -> dict[tuple[str, ...], float]:
        """The seconds of a step on such batches, for `Pace`."""
        batch = self.batch_size, *(tuple(tensor.shape[1:]) for tensor in self.tensors)
        return self._known("train").learned.setdefault(batch, {})

    def _known(self, name: str) -> programs.Programs:
        """The model's programs; looked up at every block, because a callback may compile the model again."""
        return tables.table_of(self.model, name).of(self.model, self._structure)

    def _run(self, name: str, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        order, reached = self._rows_of(epoch), start
        # without XLA one program has all batches
        end = min(stop, self.full) if any(self._way(name)) else stop
        if start < end:
            reached = self._run_block(name, order, start, end, guarded)
        if reached == self.full < stop and not (guarded and reached > start and not self.is_finite):
            if self._way(name).rest:
                tensors, rest = self._residence.rest(order)
                self._logs, self._results = self._call(loops.rest, name, rest, [self.left], tensors, left=self.left)
                reached = stop
            else:
                reached = self._run_block(name, order, reached, stop, guarded, Way(False, False))
        self._count(name, min(reached, self.full) - start, reached > self.full)
        return reached

    def _run_block(self, name: str, order: Any, start: int, stop: int, guarded: bool, way: Way | None = None) -> int:
        """As `_run`, of batches that one program has."""
        reached = start
        for piece in self._residence.pieces(order, start, stop):
            options: dict[str, Any] = {"even": not self.left, "guarded": guarded}
            arguments = (piece.order, [piece.start, piece.stop, self.batch_size, piece.rows], piece.tensors)
            done, self._logs, self._results = self._call(loops.block, name, *arguments, way=way, **options)
            reached = piece.first + (int(done) if guarded else piece.stop)
            if reached < piece.first + piece.stop:
                break
        return reached

    def _call(
        self, make: Any, name: str, order: Any, numbers: list[int], data: Any, way: Way | None = None, **options: Any
    ) -> Any:
        """Run a program, and where "auto" gave it to XLA in vain, without."""
        known = self._known(name)

        def run(way: Way) -> Any:
            # without XLA, one program does for any number of rows that is left
            one_for_all = "left" in options and not known.compiles(make.__name__, way)
            its = {**options, "left": min(options["left"], 1)} if one_for_all else options
            return known.call(make, self.batch_size, order, numbers, data, name, way, **its)

        try:
            return run(way or self._way(name))
        except programs.Conceded:
            self._ways[name] = known, Way(False, False)
            return run(Way(False, False))

    def _way(self, name: str) -> Way:
        """The batches that XLA compiles: decided once a run, and again where a callback compiles the model again. For
        XLA the data get more rows."""
        known = self._known(name)
        if name not in self._ways or self._ways[name][0] is not known:
            self._ways[name] = known, known.way(name, self.tensors, self.rows, self.batch_size, self.passes)
            if any(self._ways[name][1]) and self.is_resident and len(self.tensors[0]) < room(self.rows):
                self.tensors = [with_room(tensor, room(self.rows)) for tensor in self.tensors]
                self._residence = Resident(self.tensors, self.batch_size)
        return self._ways[name][1]

    def _count(self, name: str, full: int, rest: int) -> None:
        """Remember how many batches were run."""
        known = self._known(name).ran
        for left, number in ((0, full), (self.left, rest)):
            if number > 0:
                key = programs.key_of(name, self.batch_size, self.tensors, left)
                known[key] = known.get(key, 0) + int(number)

    def _order_tensor(self, order: np.ndarray) -> tf.Tensor:
        """An epoch's order, of as many rows as the data have."""
        return tf.constant(np.pad(order, [0, len(self.tensors[0]) - self.rows]))

    def _rows_of(self, epoch: int) -> tuple[np.ndarray, tf.Tensor]:
        """The epoch's order twice: reading a tensor costs a copy of all of it."""
        if self._order is None or self._order[0] != epoch:
            order = self.order(epoch)
            self._order = epoch, order, self._order_tensor(order)
        return self._order[1:]


def room(rows: int) -> int:
    """The next of 5, 6, 7 or 8 times a power of two: XLA's programs are made for so many rows, so that data of many
    sizes need few."""
    unit = 2 ** max(0, (rows - 1).bit_length() - 3)
    return -(-rows // unit) * unit


def _are_finite(logs: Any) -> bool:
    """`loops.losses_are_finite` of arrays: calls of TensorFlow would take as long as a short block."""
    return all(np.isfinite(loss).all() for loss in loops.losses(logs))
