"""What private training has spent of a model, in variables that are saved with it.

The ledger is an attribute of the model, so that checkpoints, weights files, `.keras` files and backups hold it. Its
table has a row for each stretch of steps that were alike; ε follows from the table alone.

Keras keeps what is an optimizer beside a model as it is, and saves it: so the ledger is one, by name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

NAME = "tfbp_privacy"
# stretches of steps that are told apart
ROWS = 64
SAMPLINGS = ("poisson", "shuffle")


@dataclass(frozen=True)
class Stretch:
    """Steps that were alike.

    Attributes:
        sampling: "poisson" or "shuffle".
        rate: q = B / N. noise: σ. rows: N. clip: C. an_epoch: the steps of an epoch.
        steps: how many were run.
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
    """A model's account: stretches of steps, the counter that noise and samples follow from, and their key.

    The key is in the variables while a fit runs, so that one that is killed goes on with the same bits; when a fit has
    ended the key is gone: with it, whoever has the weights could take the noise out again.
    """

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0, name=NAME)
        given = {"initializer": "zeros"}
        self.table = self.add_variable(shape=(ROWS, 6), dtype="float64", name="stretches", **given)
        self.counts = self.add_variable(shape=(ROWS,), dtype="int64", name="steps", **given)
        # the stretch that is under way, counted from 1; all steps; examples that were not finite; seeded steps
        self.current = self.add_variable(shape=(), dtype="int64", name="current", **given)
        self.draws = self.add_variable(shape=(), dtype="int64", name="draws", **given)
        self.skipped = self.add_variable(shape=(), dtype="int64", name="skipped", **given)
        self.seeded = self.add_variable(shape=(), dtype="int64", name="seeded", **given)
        # two words for the noise, two for the samples; 0 where there is none
        self.key = self.add_variable(shape=(4,), dtype="int64", name="key", **given)
        # of the model's optimizer, when the ledger was last written: updates that it does not know of
        self.known_updates = self.add_variable(shape=(), dtype="int64", name="known_updates", **given)
        self.strange_updates = self.add_variable(shape=(), dtype="int64", name="strange_updates", **given)
        self.built = True

    def stretches(self) -> list[Stretch]:
        """What was run, stretch by stretch."""
        table, counts = self.table.numpy(), self.counts.numpy()
        found = []
        for row, steps in zip(table[: int(self.current)], counts, strict=False):
            sampling, rate, noise, rows, clip, an_epoch = row.tolist()
            found.append(Stretch(SAMPLINGS[int(sampling)], rate, noise, int(rows), clip, int(an_epoch), int(steps)))
        return found

    def begin(self, stretch: Stretch) -> None:
        """From here on steps are of this stretch: the last one, if that is alike."""
        known = self.stretches()
        if known and known[-1].settings == stretch.settings:
            return
        row = min(int(self.current), ROWS - 1)
        table, counts = self.table.numpy(), self.counts.numpy()
        if int(self.current) == ROWS:
            raise OverflowError(f"a ledger holds {ROWS} stretches of steps with settings of their own")
        table[row], counts[row] = stretch.settings, 0
        self.table.assign(table)
        self.counts.assign(counts)
        self.current.assign(row + 1)

    def draw_key(self, seed: int | None) -> None:
        """A key from the operating system, or from a seed for tests; one that is there is kept."""
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

    # what an optimizer does is never asked of it
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        raise NotImplementedError


def ledger_of(model: Any) -> Ledger:
    """The model's ledger, made where it has none."""
    found = vars(model).get(NAME)
    if found is None:
        found = Ledger()
        setattr(model, NAME, found)
    return found
