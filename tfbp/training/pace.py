"""How many steps a block has: what watches the batches may not wait long, and what does not need not be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from tfbp.training.workers import spans_workers

if TYPE_CHECKING:
    from tfbp.training.model import Model

# what a progress bar and batch callbacks wait for at most, about
SECONDS_A_BLOCK = 0.1
STEPS_BETWEEN_WORKERS = 100


class Pace:
    """How many steps the next block has: as many as `compile` said, all, or about a tenth of a second's worth."""

    def __init__(self, model: Model, callbacks: Any, steps: int) -> None:
        watched = any(_watches_batches(callback) for callback in callbacks.callbacks)
        self.block = model.block_steps or (max(1, min(steps // 20, 100)) if watched else max(1, steps))
        self._adapts = watched and not model.block_steps
        if spans_workers(model) and not model.block_steps:
            # the workers meet after every block: no clock and no callback of one of them may say how long it is
            self.block, self._adapts = min(steps, STEPS_BETWEEN_WORKERS), False
        self._compiled = False

    def note(self, steps: int, seconds: float) -> None:
        """Learn from a block; not from the first, which was compiled on the way."""
        if self._adapts and self._compiled and steps:
            self.block = max(1, min(4 * self.block, round(steps * SECONDS_A_BLOCK / max(seconds, 1e-9))))
        self._compiled = True


def _watches_batches(callback: Any) -> bool:
    """Whether a callback wants to be called during an epoch."""
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return callback.verbose == 1
    if getattr(callback, "save_freq", None) == "epoch":
        return False
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    return any(getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook) for hook in hooks)
