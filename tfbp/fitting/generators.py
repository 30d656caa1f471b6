"""Validation on a generator: each evaluation takes its next batches, one after the other, and none is lost.

Keras prefetches from a generator and begins again at every evaluation: what was fetched and not used is gone, and how
much that is depends on the machine's speed.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from tfbp.fitting.keras_internals import pythonify_logs


def is_generator(data: Any) -> bool:
    """Whether data come one batch after the other, and cannot be begun again."""
    return hasattr(data, "__next__")


def evaluate(model: Any, batches: Iterator[Any], steps: int | None, callbacks: Any) -> dict[str, Any]:
    """The loss and the metrics on the next `steps` batches, or all that are left; {} where none is left."""
    batches = iter(batches) if steps is None else itertools.islice(batches, steps)
    model.make_test_function()
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    done, logs = 0, {}
    for batch in batches:
        callbacks.on_test_batch_begin(done)
        logs = model.test_function(iter([batch]))
        callbacks.on_test_batch_end(done, logs)
        done += 1
        if model.stop_evaluating:
            break
    expected = 1 if steps is None else steps
    if done < expected and not model.stop_evaluating:
        warnings.warn(
            f"validation_data: got {done} more batches of a generator; accepted: {expected} an evaluation.",
            stacklevel=2,
        )
    logs = pythonify_logs(model._get_metrics_result_or_logs(logs)) if done else {}
    callbacks.on_test_end(logs)
    return logs


class Validation(keras.callbacks.Callback):
    """Evaluates on a generator after every epoch of Keras's own loop, before other callbacks see the epoch's logs."""

    def __init__(self, batches: Iterator[Any], steps: int | None, frequency: Any) -> None:
        super().__init__()
        self._batches, self._steps, self._frequency = batches, steps, frequency
        self.callbacks: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.model._should_eval(epoch, self._frequency):
            found = evaluate(self.model, self._batches, self._steps, self.callbacks)
            logs.update({f"val_{name}": value for name, value in found.items()})
