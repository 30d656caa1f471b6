"""The rules of fit and evaluate for a `tfbp.Model`: data that fit its network, in its dtype, shuffled by its seed, on
all its devices; the same arguments for all workers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting import arrays
from tfbp.fitting.pace import Pace
from tfbp.fitting.rules import Rules
from tfbp.fitting.run import ArrayRun, Run
from tfbp.fitting.shuffling import shuffling_of
from tfbp.training import samples, workers
from tfbp.training.distributed_run import DistributedRun
from tfbp.training.measured_run import MeasuredRun

STEPS_BETWEEN_WORKERS = 100


class NetworkRules(Rules):
    """Those of a `tfbp.Model`."""

    takes_datasets = False

    def why_keras(self, data: Any, **steps: Any) -> str | None:
        x, y, _ = data
        if given := [name for name, value in steps.items() if value is not None]:
            return f"{given[0]} was given"
        if x is None or y is None:
            return "there is no x or no y"
        several = ("input_names", "output_names", "output_names")
        if any(
            keras.tree.is_nested(one) and not hasattr(self.model, name) for one, name in zip(data, several, strict=True)
        ):
            return "x, y or weights are nested"
        if not (arrays.in_memory(*data) or _is_refused(x) or _is_refused(y)):
            return f"the data are no arrays in memory ({type(x).__name__})"
        if self.model.run_eagerly or tf.config.functions_run_eagerly():
            return "it runs eagerly"
        return "keras.config.max_steps_per_epoch() is set" if keras.config.max_steps_per_epoch() else None

    def check_keras(self, argument: str, given: Any) -> None:
        workers.check_arrays(self.model, argument, given)

    def batch_size(self, given: int | None, trains: bool) -> int:
        size, replicas = super().batch_size(given, trains), self.model.distribute_strategy.num_replicas_in_sync
        if trains and size < replicas:
            raise InputError(f"batch_size: got {size}; accepted: at least {replicas}, a row for each replica.")
        return size

    def checked(self, data: Any, batch_size: int) -> Any:
        return samples.checked(self.model, *data)

    def packed(self, data: Any, class_weight: Any = None, own: bool = False) -> Any:
        taken = data if class_weight is None else samples.weighted(self.model, data, class_weight)
        return samples.tensors(self.model, taken, own)

    def run(self, data: Any, batch_size: int, passes: int | None, shuffle: Any = None) -> ArrayRun:
        kind = MeasuredRun if self.model._distribute_strategy is None else DistributedRun
        shuffling = None if shuffle is None else shuffling_of(self.model, self.model.seed)
        return kind(self.model, data, batch_size, shuffle or False, shuffling, passes)

    def trace(self, run: Run, name: str) -> Any:
        assert isinstance(run, ArrayRun)
        build(self.model, run.first_batch())
        return run.trace(name) if self.model._distribute_strategy is None else None

    def verbose(self, given: Any) -> Any:
        return int(workers.is_chief(self.model.distribute_strategy)) if given == "auto" else given

    def block_steps(self, run: Run) -> int | None:
        # the workers meet after every block: no clock and no callback of one of them may say how long it is
        between = min(run.steps, STEPS_BETWEEN_WORKERS) if workers.spans_workers(self.model) else None
        return self.model.block_steps or between

    def check_run(self, run: Run, validation: Any, given: dict[str, Any], first: int, pace: Pace) -> None:
        assert isinstance(run, ArrayRun)
        alike = {
            "x, y or weights": run.data,
            "validation data": validation,
            "batch_size": (run.batch_size, given["validation_batch_size"]),
            "epochs": (first, given["epochs"]),
            "shuffle": given["shuffle"],
            "validation_freq": given["validation_freq"],
            "steps_per_execution": pace.block,
        }
        workers.check_alike(self.model, alike)


def build(model: Any, batch: Any) -> None:
    """The variables of metrics and optimizer, before anything is compiled."""
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=batch)


def _is_refused(given: Any) -> bool:
    """Data that a step by hand cannot take from Keras's own loop either: `samples.checked` raises the error."""
    return hasattr(given, "tocsr") or (isinstance(given, np.ndarray) and given.dtype.kind in "OUSmM")
