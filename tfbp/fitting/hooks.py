"""The calls that a callback needs: one at every batch, or one at the end of a block of many.

Keras's own callbacks read only what a block tells at its end. Some of them count the batches as well, and act after
every so many: a block ends there, and their hooks are called for the batches within a block after it has run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

TRAIN_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
TEST_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
PREDICT_HOOKS = ("on_predict_batch_begin", "on_predict_batch_end")
# attributes that hold after how many batches a callback acts
INTERVALS = ("save_freq", "update_freq", "block_interval")
# they read what a block tells at its end: nothing that they do depends on every single call
READERS = (
    keras.callbacks.ProgbarLogger,
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.OrbaxCheckpoint,
    keras.callbacks.BackupAndRestore,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,  # a block ends at the first loss that is not finite
)
# those that count batches from one fit to the next, and Keras's name for how many since they last acted
COUNT_ON = (keras.callbacks.ModelCheckpoint, keras.callbacks.OrbaxCheckpoint, keras.callbacks.BackupAndRestore)
COUNTED = "_batches_seen_since_last_saving"


def flat(callbacks: Any) -> list[Any]:
    """The callbacks of a fit, in one of Keras's forms: one, a nested list, a CallbackList or None."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return keras.tree.flatten(callbacks) if callbacks else []


def has_any(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback has any of some hooks for itself: of its class or, like a LambdaCallback, of its own."""
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(keras.callbacks.Callback, hook)
        for hook in hooks
    )


def is_promised(callback: Any, hooks: tuple[str, ...] = TRAIN_HOOKS) -> bool:
    """Whether a callback is to be called at every batch: it has a hook, and is not one of the callbacks that only read.

    Example:
        >>> is_promised(keras.callbacks.CSVLogger("log.csv"))
        False
        >>> is_promised(keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None))
        True
    """
    if getattr(type(callback), "reads_blocks", False) or not has_any(callback, hooks):
        return False
    known = {getattr(reader, hook) for reader in (keras.callbacks.Callback, *READERS) for hook in hooks}
    if any(getattr(getattr(callback, hook), "__func__", None) not in known for hook in hooks):
        return True
    if hooks is not TRAIN_HOOKS:
        return False
    return _changes_inner_parts(callback) or _interval(callback) == 1 or _times_batches(callback)


def reads(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback looks at what a block tells."""
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return callback.verbose == 1
    if getattr(callback, "save_freq", None) == "epoch" or getattr(callback, "update_freq", None) == "epoch":
        return False
    return has_any(callback, hooks)


def intervals(callbacks: Iterable[Any]) -> list[tuple[int, int]]:
    """Of each callback that acts after every so many batches: how many, and how many of them it has counted."""
    counts = [(callback, _interval(callback)) for callback in callbacks]
    return [(interval, getattr(callback, COUNTED, 0)) for callback, interval in counts if interval]


def counting(callbacks: Iterable[Any]) -> list[Any]:
    """The callbacks of Keras that count batches by their calls."""
    kinds = (*COUNT_ON, keras.callbacks.TensorBoard)
    return [callback for callback in callbacks if isinstance(callback, kinds) and _interval(callback, INTERVALS[:2])]


def call_within(callbacks: Iterable[Any], kind: str, start: int, reached: int) -> None:
    """Call the hooks for batches within a block from `start` to before `reached` that has run, between the begin of its
    first and the end of its last; `kind` is "train" or "test"."""
    for callback in callbacks:
        begin, end = (getattr(callback, f"on_{kind}_batch_{part}") for part in ("begin", "end"))
        for batch in range(start, reached - 1):
            end(batch, logs={})
            begin(batch + 1, logs=None)


def writes_batches(callbacks: Any) -> bool:
    """Whether summaries that a model's own step writes would be recorded: of a TensorBoard, or of a writer of the
    caller's."""
    boards = [callback for callback in flat(callbacks) if isinstance(callback, keras.callbacks.TensorBoard)]
    return any(board.update_freq != "epoch" for board in boards) or bool(tf.summary.should_record_summaries())


def _interval(callback: Any, names: tuple[str, ...] = INTERVALS) -> int | None:
    """After how many batches a callback acts, by attributes of some names; None where none of them is a number."""
    for name in names:
        value = getattr(callback, name, None)
        if isinstance(value, int):
            return abs(int(value)) or 1
    return None


def _times_batches(callback: Any) -> bool:
    """Whether a callback measures single batches, or acts after some in a way that cannot be foreseen."""
    if isinstance(callback, keras.callbacks.TensorBoard):
        # Keras keeps profile_batch in some versions, and in others only what follows from it
        if getattr(callback, "profile_batch", None) or getattr(callback, "_should_trace", False):
            return True
        if callback.update_freq == "epoch":
            # it has no writer for batches, and writes them to that of the caller
            return bool(tf.summary.should_record_summaries())
        return callback.write_steps_per_second or not _interval(callback)
    if isinstance(callback, COUNT_ON):
        return callback.save_freq != "epoch" and not hasattr(callback, COUNTED)
    return False


def _changes_inner_parts(callback: Any) -> bool:
    """Whether a subclass of a callback of Keras's has methods of its own in place of what the hooks there call."""
    kinds = type(callback).__mro__
    place = next((number for number, kind in enumerate(kinds) if kind in READERS), 0)
    inner = {name for name in vars(kinds[place]) if name.startswith("_") and not name.startswith("__")}
    return any(inner & vars(kind).keys() for kind in kinds[:place])
