"""fit and evaluate on arrays that are in memory: an epoch is a few blocks, each one program of many steps.

N samples, B batch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.checks import InputError
from tfbp.training import arrays, unwatched, workers
from tfbp.training.array_run import ArrayRun
from tfbp.training.distributed_run import DistributedRun
from tfbp.training.non_finite import TerminateOnNaN
from tfbp.training.pace import Pace

if TYPE_CHECKING:
    from tfbp.training.model import Model

# fit's and evaluate's arguments that only Keras's own loop knows
KERAS_ONLY = ("steps_per_epoch", "validation_steps", "steps", "_use_cached_eval_dataset")


def takes(model: Model, x: Any, y: Any, options: dict[str, Any]) -> bool:
    """Whether the arguments of fit or evaluate are for this loop; Keras's own has the rest."""
    given = [x, y, options.get("sample_weight")]
    in_memory = all(isinstance(array, np.ndarray | tf.Tensor) or array is None for array in given)
    mapped = any(isinstance(array, np.memmap) for array in given)
    special = any(options.get(name) is not None for name in KERAS_ONLY) or options.get("shuffle") == "batch"
    compiled = model.compiled and not model.run_eagerly
    return x is not None and y is not None and in_memory and not mapped and not special and compiled


def fit(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: None = None,
    validation_steps: None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> keras.callbacks.History:
    """Train; the arguments, the callbacks and the history are Keras's."""
    batch_size = arrays.batch_size("batch_size", batch_size)
    replicas = model.distribute_strategy.num_replicas_in_sync
    if batch_size < replicas:
        raise InputError(f"batch_size: got {batch_size}; accepted: at least {replicas}, a row for each replica.")
    samples = arrays.checked(model, x, y, sample_weight)
    if validation_split and validation_data is None:
        samples, validation_data = arrays.split(samples, validation_split)
    if class_weight is not None:
        samples = arrays.weighted(samples, class_weight)
    run = _run_on(model, samples, batch_size, shuffle)
    verbose = int(workers.is_chief(model.distribute_strategy)) if verbose == "auto" else verbose
    model.array_run = run
    build(model, run.first_batch())
    validation = None
    if isinstance(validation_data, tuple | list) and takes(model, validation_data[0], validation_data[1], {}):
        size = arrays.batch_size("validation_batch_size", validation_batch_size or batch_size)
        validation = _run_on(model, arrays.checked(model, *validation_data), size)
    elif validation_data is not None:
        workers.check_arrays(model, "validation_data", validation_data)

    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=run.steps,
            model=model,
        )
    watchers = [each for each in callbacks.callbacks if isinstance(each, TerminateOnNaN)]
    if isinstance(run, DistributedRun):
        # there they only stop training, as in Keras's own loop
        watchers = []
    model.stop_training = False
    callbacks.on_train_begin()
    pace = Pace(model, callbacks, run.steps)
    initial_epoch, model._initial_epoch = model._initial_epoch or initial_epoch, None
    workers.check_alike(
        model,
        {
            "x, y or weights": samples,
            "validation data": validation and validation.data,
            "batch_size": (batch_size, validation_batch_size),
            "epochs": (initial_epoch, epochs),
            "shuffle": shuffle,
            "validation_freq": validation_freq,
            "steps_per_execution": pace.block,
        },
    )
    logs: dict[str, float] = {}
    if validation_data is None and unwatched.is_unwatched(model, run, callbacks):
        initial_epoch, logs = unwatched.train(model, run, callbacks, initial_epoch, epochs)
    for watcher in watchers:
        watcher.begin_fit(run)
    for epoch in range(initial_epoch, epochs):
        logs = {}
        run.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        start = 0
        while start < run.steps and not model.stop_training:
            stop = min(start + pace.block, run.steps)
            callbacks.on_train_batch_begin(start)
            for watcher in watchers:
                watcher.begin_block(epoch, start, stop)
            started = time.perf_counter()
            losses = run.train(epoch, start, stop)
            pace.note(stop - start, time.perf_counter() - started)
            logs = run.logs()
            for watcher in watchers:
                watcher.end_block(losses)
            callbacks.on_train_batch_end(stop - 1, dict(logs))
            start = stop
        if validation_data is not None and _validates(epoch, validation_freq):
            if validation is not None:
                found = _evaluate(validation, callbacks)
            else:
                found = model.evaluate(
                    validation_data,
                    batch_size=validation_batch_size or batch_size,
                    steps=validation_steps,
                    callbacks=callbacks,
                    return_dict=True,
                )
            logs.update({f"val_{name}": value for name, value in found.items()})
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs=logs or None)
    return model.history


def evaluate(
    model: Model,
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
    batch_size = arrays.batch_size("batch_size", batch_size)
    run = _run_on(model, arrays.checked(model, x, y, sample_weight), batch_size)
    build(model, run.first_batch())
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        verbose = int(workers.is_chief(model.distribute_strategy)) if verbose == "auto" else verbose
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=run.steps,
            model=model,
        )
    logs = _evaluate(run, callbacks)
    return logs if return_dict else model._flatten_metrics_in_order(logs)


def _evaluate(run: ArrayRun, callbacks: Any) -> dict[str, float]:
    run.reset_metrics()
    callbacks.on_test_begin()
    callbacks.on_test_batch_begin(0)
    run.evaluate()
    logs = run.logs()
    callbacks.on_test_batch_end(run.steps - 1, logs)
    callbacks.on_test_end(logs)
    return logs


def _run_on(model: Model, samples: tuple[np.ndarray, ...], batch_size: int, shuffle: bool = False) -> ArrayRun:
    kind = ArrayRun if model._distribute_strategy is None else DistributedRun
    return kind(model, tuple(map(tf.convert_to_tensor, samples)), batch_size, shuffle)


def build(model: Model, batch: tuple[tf.Tensor, ...]) -> None:
    """The variables of metrics and optimizer, before anything is compiled."""
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=batch)


def _validates(epoch: int, validation_freq: Any) -> bool:
    if isinstance(validation_freq, int):
        return (epoch + 1) % validation_freq == 0
    return epoch + 1 in validation_freq
