"""How many steps the next block has: one where a callback is promised every batch, else about as many as take a tenth
of a second where something reads along, and a second where nothing does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

# what a progress bar waits for at most, about; and what Ctrl-C does where nothing watches
SECONDS_A_BLOCK = 0.1
SECONDS_UNWATCHED = 1.0
# the first block: nothing is known yet
FIRST_STEPS = 4
# where callbacks keep after how many steps they want to act
INTERVALS = ("save_freq", "update_freq", "block_interval")
TRAIN_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
TEST_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
PREDICT_HOOKS = ("on_predict_batch_begin", "on_predict_batch_end")
# they read what a block tells at its end: nothing that they do depends on every single call
READERS = (
    keras.callbacks.Callback,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.BackupAndRestore,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,  # a block ends at the first loss that is not finite
)


class Pace:
    """How many steps the next block has; never more than until the next step that a callback asks for.

    Args:
        callbacks: all of them.
        steps: of an epoch.
        fixed: as many in every block, whatever watches, as `compile` said.
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
        watched = any(_reads(callback, hooks) for callback in callbacks)
        self._seconds = SECONDS_A_BLOCK if watched else SECONDS_UNWATCHED
        given = [getattr(callback, name, None) for callback in callbacks for name in INTERVALS]
        self._intervals = [each for each in given if isinstance(each, int) and not isinstance(each, bool)]
        self._hooks, self._learned = hooks, {} if learned is None else learned
        known = self._learned.get(hooks)
        first = FIRST_STEPS if known is None else fitting(1, known, self._seconds)
        self._steps = max(1, min(steps, first))
        self._done = 0

    @property
    def block(self) -> int:
        """The steps of the next block."""
        until_asked = [interval - self._done % interval for interval in self._intervals if interval > 0]
        return self._fixed or min([self._steps, *until_asked])

    def note(self, steps: int, seconds: float) -> None:
        """Learn from a block; not from the first, which was compiled on the way."""
        if self._done and steps:
            self._steps = min(8 * self._steps, fitting(steps, seconds, self._seconds))
            self._learned[self._hooks] = seconds / steps
        self._done += steps


def fitting(number: int, seconds: float, room: float | None = None) -> int:
    """How many steps or epochs fit into a block's time, or some other, where so many took so long; at least one."""
    return max(1, round(number * (SECONDS_A_BLOCK if room is None else room) / max(seconds, 1e-9)))


def is_promised(callback: Any, hooks: tuple[str, ...] = TRAIN_HOOKS) -> bool:
    """Whether a callback is to be called at every batch: it has a hook that is no known reader's.

    Example:
        >>> is_promised(keras.callbacks.CSVLogger("log.csv"))
        False
        >>> is_promised(keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None))
        True
    """
    if getattr(type(callback), "reads_blocks", False):
        return False
    if isinstance(callback, keras.callbacks.TensorBoard) and callback.profile_batch:
        return True
    known: set[Any] = {getattr(reader, hook) for reader in READERS for hook in hooks}
    return any(getattr(getattr(callback, hook), "__func__", None) not in known for hook in hooks)


def has_any(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback has any of some hooks for itself: of its class or, like a LambdaCallback, of its own."""
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(keras.callbacks.Callback, hook)
        for hook in hooks
    )


def _reads(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback looks at what a block tells."""
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return callback.verbose == 1
    if getattr(callback, "save_freq", None) == "epoch" or getattr(callback, "update_freq", None) == "epoch":
        return False
    return has_any(callback, hooks)
