"""fit and evaluate of a `tfbp.Model` on arrays in memory: checked against the network, then `tfbp.fitting`'s loop.

N samples, B batch.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfbp.errors import InputError, check_count
from tfbp.fitting import arrays
from tfbp.fitting import epochs as loop
from tfbp.fitting.api import validation_of
from tfbp.fitting.shuffling import shuffling_of
from tfbp.training import samples, workers
from tfbp.training.distributed_run import DistributedRun
from tfbp.training.measured_run import MeasuredRun

# fit's and evaluate's arguments that only Keras's own loop knows
KERAS_ONLY = ("steps_per_epoch", "validation_steps", "steps", "_use_cached_eval_dataset")
STEPS_BETWEEN_WORKERS = 100


def takes(model: Any, x: Any, y: Any, options: dict[str, Any]) -> bool:
    """Whether the arguments of fit or evaluate are for the loop on arrays; Keras's own has the rest."""
    for name, given in (("x", x), ("y", y), ("sample_weight", options.get("sample_weight"))):
        arrays.check_data(name, given)
    single = not any(keras.tree.is_nested(given) for given in (x, y, options.get("sample_weight")))
    special = any(options.get(name) is not None for name in KERAS_ONLY) or keras.config.max_steps_per_epoch()
    runs = model.compiled and not model.run_eagerly
    dense = arrays.in_memory(x, y, options.get("sample_weight")) or _is_refused(x) or _is_refused(y)
    return x is not None and y is not None and single and dense and not special and runs


def _is_refused(given: Any) -> bool:
    """What Keras's own loop could not hand to a step by hand either: left to `samples.checked`, which says so."""
    return hasattr(given, "tocsr") or (isinstance(given, np.ndarray) and given.dtype.kind in "OUSmM")


def fit(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: None = None,
    validation_steps: None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> keras.callbacks.History:
    """Train; the arguments, the callbacks and the history are Keras's."""
    batch_size = _size("batch_size", batch_size)
    replicas = model.distribute_strategy.num_replicas_in_sync
    if batch_size < replicas:
        raise InputError(f"batch_size: got {batch_size}; accepted: at least {replicas}, a row for each replica.")
    taken = samples.checked(model, x, y, sample_weight)
    if validation_split and validation_data is None:
        taken, validation_data = arrays.split(taken, validation_split)
    if class_weight is not None:
        taken = samples.weighted(model, taken, class_weight)
    run = _run_on(model, taken, batch_size, shuffle, shuffling_of(model, model.seed))
    build(model, run.first_batch())
    validate, validation = _validation(
        model, validation_data, _size("validation_batch_size", validation_batch_size, batch_size)
    )

    def check(first: int, pace: Any) -> None:
        workers.check_alike(
            model,
            {
                "x, y or weights": run.data,
                "validation data": validation,
                "batch_size": (batch_size, validation_batch_size),
                "epochs": (first, epochs),
                "shuffle": shuffle,
                "validation_freq": validation_freq,
                "steps_per_execution": pace.block,
            },
        )

    # the workers meet after every block: no clock and no callback of one of them may say how long it is
    between = min(run.steps, STEPS_BETWEEN_WORKERS) if workers.spans_workers(model) else None
    return loop.train(
        model,
        run,
        callbacks,
        epochs=epochs,
        initial_epoch=initial_epoch,
        verbose=_verbose(model, verbose),
        validate=validate,
        validation_freq=validation_freq,
        block_steps=model.block_steps or between,
        check=check,
    )


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """The loss and the metrics on samples, as Keras's evaluate gives them."""
    run = _run_on(model, samples.checked(model, x, y, sample_weight), _size("batch_size", batch_size))
    build(model, run.first_batch())
    logs = loop.evaluate(model, run, callbacks, _verbose(model, verbose), model.block_steps)
    return logs if return_dict else model._flatten_metrics_in_order(logs)


def build(model: Any, batch: Any) -> None:
    """The variables of metrics and optimizer, before anything is compiled."""
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=batch)


def _validation(model: Any, given: Any, batch_size: int) -> tuple[Any, Any]:
    """What evaluates between epochs, given the callbacks, and on what; None without data."""
    if given is None:
        return None, None
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(given)
    if takes(model, x, y, {"sample_weight": sample_weight}):
        run = _run_on(model, samples.checked(model, x, y, sample_weight), batch_size)
        return lambda callbacks: loop.evaluate(model, run, callbacks, 0, model.block_steps), run.data
    workers.check_arrays(model, "validation_data", given)
    return validation_of(model, given, batch_size, None), None


def _run_on(model: Any, taken: Any, batch_size: int, *shuffling: Any) -> Any:
    kind = MeasuredRun if model._distribute_strategy is None else DistributedRun
    return kind(model, samples.tensors(model, taken), batch_size, *shuffling)


def _size(name: str, value: Any, otherwise: int = 32) -> int:
    if value is None:
        return otherwise
    check_count(name, value)
    return int(value)


def _verbose(model: Any, verbose: Any) -> Any:
    return int(workers.is_chief(model.distribute_strategy)) if verbose == "auto" else verbose
