"""A run on arrays that measures some steps: a program that also returns statistics takes these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfbp.fitting.run import ArrayRun
from tfbp.training.statistics import Measured, Statistics, as_arrays


class MeasuredRun(ArrayRun):
    """As `ArrayRun`, of a `tfbp.Model`; from `measure` on, every so many steps are measured."""

    _measure_every: int | None = None

    def measure(self, statistics: Statistics, every: int, write: Callable[[Measured, int], None]) -> None:
        """Measure every so many steps, by their address: a resumed run measures the same ones.

        Args:
            write: takes what was measured, and how many steps the optimizer had done before.
        """
        self._step = statistics.step(min(self.batch_size, self.rows), self.tensors)
        self._measure_every, self._write = every, write

    @property
    def measures(self) -> bool:
        return self._measure_every is not None

    def train(self, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        """As `ArrayRun.train`."""
        while start < stop:
            due = self._next_measured(epoch, start)
            if due == start:
                self._measured_step(epoch, start)
                start += 1
                if guarded and not self.is_finite:
                    return start
            else:
                end = stop if due is None else min(stop, due)
                start = super().train(epoch, start, end, guarded)
                if start < end or (guarded and not self.is_finite):
                    return start
        return start

    def _next_measured(self, epoch: int, start: int) -> int | None:
        """The first step of the epoch, from `start` on, that is to be measured."""
        if self._measure_every is None:
            return None
        # the last batch, where it is not full, would want a program of its own: then it is the step after it
        short = self.full if 0 < self.full < self.steps else None
        before = epoch * self.steps
        if start == 0 and short is not None and epoch and (before - 1) % self._measure_every == 0:
            return 0
        due = start + -(before + start) % self._measure_every
        return due if due < self.steps and due != short else None

    def _measured_step(self, epoch: int, number: int) -> None:
        done = int(self.model.optimizer.iterations.numpy())
        self._logs, measured = self._step(self.rows_of_step(epoch, number), *self.tensors)
        self._results = self._logs
        self._write(as_arrays(measured), done)


def is_measurable(run: Any) -> bool:
    """Whether a run can measure its own steps, and does not yet."""
    return isinstance(run, MeasuredRun) and not run.measures and run.is_resident
