"""Epochs that nothing watches, many in one program: short epochs take less time than Python's own work between them.

N samples, E epochs of a program at most.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from tfbp.fitting.hooks import TRAIN_HOOKS, has_any
from tfbp.fitting.keras_internals import pythonify_logs
from tfbp.fitting.non_finite import TerminateOnNaN
from tfbp.fitting.pace import Pace, fitting
from tfbp.fitting.run import ArrayRun, room
from tfbp.fitting.state import restore, snapshot

# E at most, and E N where two epochs do not need more: 256 KiB of row numbers, which every call copies
MOST_EPOCHS, MOST_ROWS = 256, 2**16
# N at most: longer epochs are worth their way through Python
LONGEST = 2**17
# without XLA, of fewer epochs, Python's work takes less time than tracing the program of whole epochs: some 0.06 s more
# than that of a block
FEWEST = 32
EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")


def pays(model: Any, run: ArrayRun, callbacks: Any, epochs: int) -> bool:
    """Whether so many epochs of a fit without validation data come in bunches: nothing would see it, and it is worth
    its program."""
    hooks = (*EPOCH_HOOKS, *TRAIN_HOOKS)
    others = [
        callback for callback in callbacks.callbacks if type(callback) not in (keras.callbacks.History, TerminateOnNaN)
    ]
    return bool(
        run.bunches_epochs
        and (epochs >= FEWEST or run.is_compiled())
        and run.rows <= LONGEST
        # the program resets what Keras's own metrics have counted; others may do so in Python
        and type(model).reset_metrics is keras.Model.reset_metrics
        and all(type(metric).__module__.startswith("keras.") for metric in _single_metrics(model))
        and not any(has_any(other, hooks) for other in others)
    )


def train(model: Any, run: ArrayRun, callbacks: Any, first: int, stop: int) -> tuple[int, dict[str, Any]]:
    """Train the epochs from number `first` to before `stop`.

    Until it is known how long an epoch takes, and where that is more than about a second, an epoch is run by parts, so
    that Ctrl-C and `stop_training` from elsewhere wait no longer.

    Returns:
        The epoch to go on with, and the logs of the last. It is `stop`; but where a `TerminateOnNaN` has something to
        find, it is an epoch from shortly before, the weights are those it begins with, and it is to be trained step by
        step.
    """
    histories = [callback for callback in callbacks.callbacks if type(callback) is keras.callbacks.History]
    guarded = any(type(callback) is TerminateOnNaN for callback in callbacks.callbacks)
    logs: dict[str, Any] = {}
    most, fits, pace = _most(run), 1, Pace([], run.steps, learned=run.learned)
    epochs = range(first, min(first + 1, stop))
    orders = _orders(run, epochs)
    with ThreadPoolExecutor(1) as beside:
        while epochs and not model.stop_training:
            following = range(epochs.stop, min(epochs.stop + min(fits, most), stop))
            # before the other thread is busy: it would hold Python up here
            before = snapshot(model) if guarded else []
            # the orders of the epochs to come are drawn while those before are trained
            coming = beside.submit(_orders, run, following) if following else None
            started = time.perf_counter()
            if len(epochs) > 1:
                found, finite = run.train_epochs(orders, len(epochs))
            else:
                found, finite = _by_parts(model, run, orders, pace)
            if epochs.start > first:  # the first was compiled on the way
                fits = fitting(len(epochs), time.perf_counter() - started)
            if guarded and not finite:
                restore(model, before)
                return epochs.start, logs
            for epoch, logs in zip(epochs, found, strict=True):
                run.shuffling.begin(epoch)
                logs = pythonify_logs(logs)
                for history in histories:
                    history.on_epoch_end(epoch, logs)
            epochs, orders = following, coming.result() if coming else orders
    return stop, logs


def _by_parts(model: Any, run: ArrayRun, orders: np.ndarray, pace: Pace) -> tuple[list[dict[str, Any]], bool]:
    """`run.train_epochs` of one epoch, as many steps at a time as the pace says, until training is stopped."""
    start, finite = 0, True
    while start < run.steps:
        part = min(start + pace.block, run.steps)
        started = time.perf_counter()
        found, whole = run.train_epochs(orders, 1, start, part)
        pace.note(part - start, time.perf_counter() - started)
        start, finite = part, finite and whole
        if model.stop_training:
            break
    return found, finite


def _single_metrics(model: Any) -> list[Any]:
    """The model's metrics, those of compile one by one."""
    return [part for metric in model.metrics for part in getattr(metric, "metrics", None) or [metric]]


def _most(run: ArrayRun) -> int:
    return max(2, min(MOST_EPOCHS, MOST_ROWS // room(run.rows)))


def _orders(run: ArrayRun, epochs: range) -> np.ndarray:
    """The orders of some epochs, and room for those of as many as a program can take."""
    return run.orders(epochs, _most(run))
