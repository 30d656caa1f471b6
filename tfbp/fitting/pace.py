"""How many steps the next block has: one where a callback is promised every batch, else about as many as take a tenth
of a second where something reads along, and a second where nothing does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfbp.fitting.hooks import TRAIN_HOOKS, intervals, is_promised, reads

# what a progress bar waits for at most, about; and what Ctrl-C does where nothing watches
SECONDS_A_BLOCK = 0.1
SECONDS_UNWATCHED = 1.0
# the first block: nothing is known yet
FIRST_STEPS = 4


class Pace:
    """How many steps the next block has; never more than until the next step that a callback asks for.

    Args:
        callbacks: all of them.
        steps: of an epoch.
        fixed: the number of steps of every block, if `compile` has one.
        hooks: those that are called around a block.
        learned: the seconds of a step by the hooks around it, of fits before this one; what this one learns goes there.
    """

    def __init__(
        self,
        callbacks: Iterable[Any],
        steps: int,
        fixed: int | None = None,
        hooks: tuple[str, ...] = TRAIN_HOOKS,
        learned: dict[tuple[str, ...], float] | None = None,
    ) -> None:
        callbacks = list(callbacks)
        promised = any(is_promised(callback, hooks) for callback in callbacks)
        self._fixed = fixed or (1 if promised else None)
        watched = any(reads(callback, hooks) for callback in callbacks)
        self._seconds = SECONDS_A_BLOCK if watched else SECONDS_UNWATCHED
        self._intervals = intervals(callbacks) if hooks is TRAIN_HOOKS else []
        self._hooks, self._learned = hooks, {} if learned is None else learned
        known = self._learned.get(hooks)
        first = FIRST_STEPS if known is None else fitting(1, known, self._seconds)
        self._steps = max(1, min(steps, first))
        self._done = 0

    @property
    def block(self) -> int:
        """The steps of the next block."""
        until_due = [interval - (self._done + counted) % interval for interval, counted in self._intervals]
        return self._fixed or min([self._steps, *until_due])

    def note(self, steps: int, seconds: float) -> None:
        """Learn from a block; not from the first, which was compiled on the way."""
        if self._done and steps:
            self._steps = min(8 * self._steps, fitting(steps, seconds, self._seconds))
            self._learned[self._hooks] = seconds / steps
        self._done += steps


def fitting(number: int, seconds: float, room: float | None = None) -> int:
    """How many steps or epochs fit into a block's time, or some other, where so many took so long; at least one."""
    return max(1, round(number * (SECONDS_A_BLOCK if room is None else room) / max(seconds, 1e-9)))
