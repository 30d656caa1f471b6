"""Trains several writings from the same parameters on the same batches, and measures how far they drift apart."""

from __future__ import annotations

import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfbp import manual, reference, tape
from tfbp.network import Network, Parameters, map_weights, named_weights
from tfbp.reference.optimizers import optimizer as reference_optimizer
from tfbp.reference.trainer import Trainer
from tfbp.training import Model, keras_optimizer
from tfbp.vocabulary import OPTIMIZERS

WRITINGS: dict[str, Any] = {"reference": reference, "manual": manual, "tape": tape}
Arrays = tuple[np.ndarray, np.ndarray]
# the number of validation samples at a time: the patches of all may exceed the memory
ROWS = 1000


@dataclass(frozen=True)
class Plan:
    """The settings of a training run; equal plans give every writing the same parameters and the same batches.

    Attributes:
        optimizer: "sgd", "momentum" or "adam".
        epochs, batch_size: counts of at least 1.
        learning_rate: None for the optimizer's default.
        seed: of the first parameters and of the order of the samples.
        dtype: the parameters' dtype; None for x's own, which tokens do not have.
    """

    optimizer: str
    epochs: int
    batch_size: int
    learning_rate: float | None = None
    seed: int = 0
    dtype: str | None = None


@dataclass(frozen=True)
class Epoch:
    """The results of one writing in one epoch.

    Attributes:
        writing: "manual", "tape" or "reference".
        number: the epoch, from 0.
        train, validation: the loss and the accuracy.
        seconds: spent in the epoch's steps, and in compiling them where it is the first.
        disagreement: from the first writing: the larger of the relative differences of the validation loss and (2-norm)
            of the parameters after the epoch.
    """

    writing: str
    number: int
    train: tuple[float, float]
    validation: tuple[float, float]
    seconds: float
    disagreement: float


class Trajectories:
    """Compares every writing's epochs with those of the first writing.

    Args:
        network: the network to train.
        validation: x (N, I) or (N, …) and y; the writing itself evaluates every epoch on them in x's dtype.
        follow: a function that is called with each epoch and the parameters after it.
    """

    def __init__(self, network: Network, validation: Arrays, follow: Callable[[Epoch, Parameters], None]) -> None:
        self.network, self.validation, self._follow = network, validation, follow
        self._first: str | None = None
        self._losses: list[float] = []
        # the first writing's parameters after each epoch, in a file: many epochs would fill the memory
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def add(self, writing: str, number: int, train: tuple[float, float], seconds: float, after: Parameters) -> None:
        """Adds an epoch of a writing, its mean loss and accuracy, and the parameters after it."""
        validation = self._judge(writing, after)
        flat = np.concatenate([w.astype(np.float64).ravel() for _, _, w in named_weights(after)])
        self._first = self._first or writing
        if writing == self._first:
            self._losses.append(validation[0])
            self._file.seek(number * flat.nbytes)
            self._file.write(flat.tobytes())
        self._file.seek(number * flat.nbytes)
        expected = np.frombuffer(self._file.read(flat.nbytes))
        # a run that overflows differs by NaN, without NumPy's warnings
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.maximum(
                np.abs(validation[0] - self._losses[number]) / np.abs(self._losses[number]),
                np.linalg.norm(flat - expected) / np.linalg.norm(expected),
            )
        self._follow(Epoch(writing, number, train, validation, seconds, float(apart)), after)

    def _judge(self, writing: str, parameters: Parameters) -> tuple[float, float]:
        """Returns the loss and the accuracy on the validation samples, in inference mode."""
        x, y = self.validation
        found, sizes = [], []
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            loss, outputs = WRITINGS[writing].loss_and_outputs(self.network, parameters, x[part], y[part])
            found.append((float(loss), _accuracy(np.asarray(outputs), y[part])))
            sizes.append(len(outputs))
        loss, accuracy = np.average(found, axis=0, weights=sizes)
        return float(loss), float(accuracy)


class Recorder(keras.callbacks.Callback):
    """Adds every epoch of a `tfbp.Model` to the trajectories. The first of fit's callbacks, because of its clock."""

    def __init__(self, trajectories: Trajectories, writing: str) -> None:
        super().__init__()
        self._trajectories, self._writing = trajectories, writing

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.perf_counter()
        self._seconds: float | None = None

    def on_test_begin(self, logs: Any = None) -> None:
        # the first action after the epoch's last step
        self._seconds = time.perf_counter() - self._started

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self._started if self._seconds is None else self._seconds
        train = logs["loss"], logs["accuracy"]
        self._trajectories.add(self._writing, epoch, train, seconds, self.model.get_parameters())


def train(
    trajectories: Trajectories,
    writing: str,
    samples: Arrays,
    plan: Plan,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains the trajectories' network by one writing.

    Args:
        samples: x (N, I) or (N, …), and y.
        callbacks: for fit, beside the `Recorder`; the reference has no fit and takes none.
    """
    network, seed, batch_size = trajectories.network, plan.seed, plan.batch_size
    rate = OPTIMIZERS[plan.optimizer] if plan.learning_rate is None else plan.learning_rate
    dtype = plan.dtype or samples[0].dtype.name
    if writing != "reference":
        model = Model(network, writing, seed=seed, dtype=dtype)
        model.compile(keras_optimizer(plan.optimizer, rate), metrics=["accuracy"])
        model.fit(
            *samples,
            batch_size=batch_size,
            epochs=plan.epochs,
            validation_data=trajectories.validation,
            verbose=0,
            callbacks=[Recorder(trajectories, writing), *callbacks],
        )
        return
    # all writings start from these numbers: those that x's dtype can hold
    parameters = map_weights(lambda w: w.astype(dtype), network.init(seed))
    trainer = Trainer(network, parameters, reference_optimizer(plan.optimizer, rate), *samples, seed=seed)
    rows = len(samples[0])
    for number in range(plan.epochs):
        # shuffled as in Model.fit
        order = np.random.default_rng([seed, number]).permutation(rows)
        started = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):
            steps = trainer.train_epoch(order, batch_size)
        seconds = time.perf_counter() - started
        loss, accuracy = (mean_over_rows(step, rows, batch_size) for step in steps)
        with np.errstate(over="ignore", invalid="ignore"):
            trajectories.add(writing, number, (loss, accuracy), seconds, trainer.parameters())


def mean_over_rows(steps: np.ndarray, samples: int, batch_size: int) -> float:
    """Returns the mean of an epoch's step values; a last, smaller batch counts by its rows."""
    rows = np.full(len(steps), batch_size)
    rows[-1] = samples - batch_size * (len(steps) - 1)
    return float(np.average(steps, weights=rows))


def _accuracy(outputs: np.ndarray, y: np.ndarray) -> float:
    labels = y if y.ndim < outputs.ndim else y.argmax(axis=-1)
    return float((outputs.argmax(axis=-1) == labels).mean())
