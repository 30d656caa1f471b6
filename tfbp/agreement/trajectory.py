"""Several writings trained in lockstep, on the same batches from the same parameters, and how far they drift apart."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfbp.network import Network, Parameters
from tfbp.reference.optimizers import optimizer as reference_optimizer
from tfbp.reference.trainer import Trainer as ReferenceTrainer
from tfbp.training import OPTIMIZERS, Trainer, keras_optimizer


@dataclass(frozen=True)
class Epoch:
    """What one writing did in one epoch.

    Attributes:
        writing: "manual", "tape" or "reference".
        number: the epoch, from 0.
        train, validation: the loss and the accuracy.
        seconds: spent in the epoch's steps, and in compiling them where it is the first.
        disagreement: from the first writing: the largest relative difference of a step's loss, or (2-norm) of the
            parameters after the epoch.
    """

    writing: str
    number: int
    train: tuple[float, float]
    validation: tuple[float, float]
    seconds: float
    disagreement: float


def trainers(
    writings: Sequence[str],
    network: Network,
    parameters: Parameters,
    optimizer: str,
    learning_rate: float | None,
    x: np.ndarray,
    y: np.ndarray,
) -> dict[str, Any]:
    """A trainer for each of the writings, all from the same numbers: those that x's dtype holds."""
    rate = OPTIMIZERS[optimizer] if learning_rate is None else learning_rate
    rounded = [{name: w.astype(x.dtype) for name, w in layer.items()} for layer in parameters]
    return {
        writing: ReferenceTrainer(network, rounded, reference_optimizer(optimizer, rate), x, y)
        if writing == "reference"
        else Trainer(network, rounded, writing, keras_optimizer(optimizer, rate), x, y)
        for writing in writings
    }


def train_in_lockstep(
    trainers: Mapping[str, Any],
    validation: tuple[np.ndarray, np.ndarray],
    samples: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> Iterator[Epoch]:
    """Train every writing for an epoch, then the next; the rows of each epoch are shuffled from `seed`.

    Args:
        trainers: a `tfbp.training.Trainer` or `tfbp.reference.trainer.Trainer` by writing. All are held against the
            first.
        validation: x (N, I) and y.
        samples: how many training rows there are to shuffle.
    """
    generator = np.random.default_rng(seed)
    for number in range(epochs):
        order = generator.permutation(samples)
        first: tuple[np.ndarray, Parameters] | None = None
        for writing, trainer in trainers.items():
            started = time.perf_counter()
            losses, accuracies = trainer.train_epoch(order, batch_size)
            seconds = time.perf_counter() - started
            parameters = trainer.parameters()
            first = (losses, parameters) if first is None else first
            train = (mean_over_rows(losses, samples, batch_size), mean_over_rows(accuracies, samples, batch_size))
            difference = max(_largest_relative(losses, first[0]), _distance(parameters, first[1]))
            yield Epoch(writing, number, train, trainer.evaluate(*validation), seconds, difference)


def mean_over_rows(steps: np.ndarray, samples: int, batch_size: int) -> float:
    """The mean of what each step of an epoch gave; a last batch that is not full counts by its rows."""
    rows = np.full(len(steps), batch_size)
    rows[-1] = samples - batch_size * (len(steps) - 1)
    return float(np.average(steps, weights=rows))


def _largest_relative(losses: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(losses - expected) / np.abs(expected)).max())


def _distance(parameters: Parameters, expected: Parameters) -> float:
    got, right = (
        np.concatenate([w.astype(np.float64).ravel() for layer in each for w in layer.values()])
        for each in (parameters, expected)
    )
    return float(np.linalg.norm(got - right) / np.linalg.norm(right))
