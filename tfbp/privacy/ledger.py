"""Records the spent privacy of a model, in variables that are saved with it.

The ledger is an attribute of the model, so that checkpoints, weights files, `.keras` files and backups contain it.
Its table has a row for each stretch of equal steps; ε follows from the table alone.

Keras keeps an optimizer that is an attribute of a model, and saves it: so the ledger is one, by name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tfbp.errors import InputError

NAME = "tfbp_privacy"
# the number of stretches that the table can hold
ROWS = 64
SAMPLINGS = ("poisson", "shuffle")


@dataclass(frozen=True)
class Stretch:
    """A stretch of equal steps.

    Attributes:
        sampling: "poisson" or "shuffle".
        rate: q = B / N. noise: σ. rows: N. clip: C. an_epoch: the steps of an epoch.
        steps: the number of steps that ran.
    """

    sampling: str
    rate: float
    noise: float
    rows: int
    clip: float
    an_epoch: int
    steps: int = 0

    @property
    def settings(self) -> tuple[Any, ...]:
        return (SAMPLINGS.index(self.sampling), self.rate, self.noise, self.rows, self.clip, self.an_epoch)

    def with_noise(self, noise: float) -> Stretch:
        return replace(self, noise=noise)

    def with_steps(self, steps: int) -> Stretch:
        return replace(self, steps=steps)


class Ledger(keras.optimizers.Optimizer):
    """A model's account: stretches of steps, the counter for noise and samples, and their key.

    The key is in the variables during a fit, so that a killed fit continues with the same random numbers. At the end of
    the fit it is deleted: with the key, anybody with the weights could subtract the noise.
    """

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0, name=NAME)
        given = {"initializer": "zeros"}
        self.table = self.add_variable(shape=(ROWS, 6), dtype="float64", name="stretches", **given)
        self.counts = self.add_variable(shape=(ROWS,), dtype="int64", name="steps", **given)
        # the current stretch, counted from 1; all steps; examples that were not finite; seeded steps
        self.current = self.add_variable(shape=(), dtype="int64", name="current", **given)
        self.draws = self.add_variable(shape=(), dtype="int64", name="draws", **given)
        self.skipped = self.add_variable(shape=(), dtype="int64", name="skipped", **given)
        self.seeded = self.add_variable(shape=(), dtype="int64", name="seeded", **given)
        # two words for the noise, two for the samples; 0 without a key
        self.key = self.add_variable(shape=(4,), dtype="int64", name="key", **given)
        # the optimizer's iterations at the last write: more of them are updates that the ledger does not count
        self.known_updates = self.add_variable(shape=(), dtype="int64", name="known_updates", **given)
        self.strange_updates = self.add_variable(shape=(), dtype="int64", name="strange_updates", **given)
        # the steps of this fit since the first epoch's begin
        self.place = self.add_variable(shape=(), dtype="int64", name="place", **given)
        # the model's optimizer at the last fit of this process
        self.optimizer: Any = None
        self.built = True

    def stretches(self) -> list[Stretch]:
        """Returns the stretches that ran."""
        table, counts = self.table.numpy(), self.counts.numpy()
        found = []
        for row, steps in zip(table[: int(self.current)], counts, strict=False):
            sampling, rate, noise, rows, clip, an_epoch = row.tolist()
            found.append(Stretch(SAMPLINGS[int(sampling)], rate, noise, int(rows), clip, int(an_epoch), int(steps)))
        return found

    def begin(self, stretch: Stretch) -> None:
        """Starts a stretch; an equal last one continues.

        Raises:
            InputError: more stretches than the table can hold.
        """
        known = self.stretches()
        if known and known[-1].settings == stretch.settings:
            return
        self._append(stretch, int(self.current) - (bool(known) and not known[-1].steps))

    def begin_epoch(self) -> None:
        """Starts a stretch of its own after shuffled batches that ended within an epoch: a new order takes examples
        again that those took."""
        known = self.stretches()
        if known and known[-1].sampling == "shuffle" and known[-1].steps % known[-1].an_epoch:
            self._append(known[-1], int(self.current))

    def _append(self, stretch: Stretch, row: int) -> None:
        if row == ROWS:
            raise InputError(
                f"privacy: got a model that was trained with {ROWS} settings, or shuffled epochs that ended early; "
                f"accepted: at most {ROWS}, its account has no room for more."
            )
        table, counts = self.table.numpy(), self.counts.numpy()
        table[row], counts[row] = stretch.settings, 0
        self.table.assign(table)
        self.counts.assign(counts)
        self.current.assign(row + 1)

    def draw_key(self, seed: int | None) -> None:
        """Draws a key from the operating system, or from a seed for tests; an existing key stays."""
        if np.any(self.key.numpy()):
            return
        if seed is None:
            words = [secrets.randbits(63) + 1 for _ in range(4)]
        else:
            drawn = np.random.SeedSequence(seed).generate_state(4, np.uint64)
            words = [int(word >> np.uint64(1)) + 1 for word in drawn]
        self.key.assign(np.array(words, np.int64))

    def forget_key(self) -> None:
        self.key.assign(np.zeros(4, np.int64))

    # methods of an optimizer that are never called
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        raise NotImplementedError


def ledger_of(model: Any) -> Ledger:
    """Returns the model's ledger; makes one if there is none."""
    ledger = vars(model).get(NAME)
    if ledger is None:
        ledger = Ledger()
        setattr(model, NAME, ledger)
    return ledger
