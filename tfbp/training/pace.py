"""How many steps a block has: what watches the batches may not wait long, and what does not need not be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from tfbp.training.workers import spans_workers

if TYPE_CHECKING:
    from tfbp.training.model import Model

# what a progress bar and batch callbacks wait for at most, about
SECONDS_A_BLOCK = 0.1
# where callbacks keep after how many steps they want to act
INTERVALS = ("save_freq", "update_freq", "block_interval")
STEPS_BETWEEN_WORKERS = 100
BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class Pace:
    """How many steps the next block has: as many as `compile` said, all, or about a tenth of a second's worth; and no
    more than until the next step that a callback asks for."""

    def __init__(self, model: Model, callbacks: Any, steps: int) -> None:
        watched = any(_watches_batches(callback) for callback in callbacks.callbacks)
        given = [getattr(callback, name, None) for callback in callbacks.callbacks for name in INTERVALS]
        self._fixed = model.block_steps
        self._intervals = [interval for interval in given if isinstance(interval, int)]
        self._steps = max(1, min(steps // 20, 100) if watched else steps)
        self._adapts = watched
        self._done = 0
        if spans_workers(model) and not model.block_steps:
            # the workers meet after every block: no clock and no callback of one of them may say how long it is
            self._steps, self._intervals, self._adapts = min(steps, STEPS_BETWEEN_WORKERS), [], False

    @property
    def block(self) -> int:
        """The steps of the next block."""
        until_asked = [interval - self._done % interval for interval in self._intervals]
        return self._fixed or min([self._steps, *until_asked])

    def note(self, steps: int, seconds: float) -> None:
        """Learn from a block; not from the first, which was compiled on the way."""
        if self._adapts and self._done and steps:
            self._steps = min(4 * self._steps, fitting(steps, seconds))
        self._done += steps


def fitting(number: int, seconds: float) -> int:
    """How many steps or epochs have a block's time, where so many took so long; at least one."""
    return max(1, round(number * SECONDS_A_BLOCK / max(seconds, 1e-9)))


def _watches_batches(callback: Any) -> bool:
    """Whether a callback wants to be called during an epoch."""
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return callback.verbose == 1
    if getattr(callback, "save_freq", None) == "epoch":
        return False
    return has_any(callback, BATCH_HOOKS)


def has_any(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback has any of some hooks for itself: of its class or, like a LambdaCallback, of its own."""
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(keras.callbacks.Callback, hook)
        for hook in hooks
    )
