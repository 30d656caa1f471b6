"""The loop over epochs: blocks of steps, validation between them, and Keras's callbacks around all of it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from tfbp.fitting import hooks, unwatched
from tfbp.fitting.keras_internals import pythonify_logs
from tfbp.fitting.non_finite import TerminateOnNaN
from tfbp.fitting.pace import Pace
from tfbp.fitting.run import ArrayRun, Run

LOG = logging.getLogger("tfbp")
Logs = dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """When a fit begins and ends, and what runs between its blocks of steps.

    Attributes:
        validate: evaluates between epochs; takes the callbacks.
        block_steps: the steps of every block, where the pace does not choose them.
        check: called before the first block.
    """

    epochs: int
    initial_epoch: int = 0
    validate: Callable[[Any], Logs] | None = None
    validation_freq: Any = 1
    block_steps: int | None = None
    check: Callable[[int, Pace], None] = lambda first, pace: None


def train(model: Any, run: Run, callbacks: Any, schedule: Schedule, verbose: Any = 0) -> keras.callbacks.History:
    """Train a compiled model; callbacks, stopping and history are Keras's."""
    limit = keras.config.max_epochs()
    if limit and limit < schedule.epochs:
        warnings.warn(f"Limiting epochs to {limit}", stacklevel=3)
        schedule = replace(schedule, epochs=limit)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=schedule.epochs,
            steps=run.steps,
            model=model,
        )
    model.stop_training, model.array_run = False, run
    try:
        callbacks.on_train_begin()
        logs = _epochs(model, run, callbacks, schedule)
        if isinstance(model.optimizer, keras.optimizers.Optimizer) and schedule.epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs=logs or None)
    finally:
        model.array_run = None
    compiled = run.is_compiled()
    # a CallbackList of the caller's may have no params
    model.history.params = {**(model.history.params or {}), "jit_compile": compiled}
    if compiled is not None:
        LOG.info("%s: steps %s XLA", model.name, "compiled by" if compiled else "without")
    return model.history


def _epochs(model: Any, run: Run, callbacks: Any, schedule: Schedule) -> Logs:
    guards = (
        [callback for callback in callbacks.callbacks if isinstance(callback, TerminateOnNaN)] if run.is_guarded else []
    )
    stops = [callback for callback in callbacks.callbacks if isinstance(callback, keras.callbacks.TerminateOnNaN)]
    guarded = bool(guards or stops) and run.is_guarded
    # what a dataset gave is gone: there they stop training, and cannot go back
    guards = guards if isinstance(run, ArrayRun) else []
    pace = Pace(callbacks.callbacks, run.steps, schedule.block_steps, hooks.TRAIN_HOOKS, run.learned)
    counting = hooks.counting(callbacks.callbacks)
    restored, model._initial_epoch = model._initial_epoch, None
    first, start = restored or schedule.initial_epoch, 0
    if restored is not None:
        first, start = run.resumed(first)
    schedule.check(first, pace)
    logs: Logs = {}
    run.begin("train")
    together = not (schedule.validate or schedule.block_steps or model.stop_training)
    if together and isinstance(run, ArrayRun) and unwatched.pays(model, run, callbacks, schedule.epochs - first):
        first, logs = unwatched.train(model, run, callbacks, first, schedule.epochs)
    if isinstance(run, ArrayRun):
        for guard in guards:
            guard.begin_fit(run)
    for epoch in range(first, schedule.epochs):
        if epoch > first and model.stop_training:
            break
        model.reset_metrics()
        run.shuffling.begin(epoch)
        callbacks.on_epoch_begin(epoch)
        while start < run.steps:
            # Keras looks whether to stop after a batch, so that one is always run
            stop = start + 1 if model.stop_training else min(start + pace.block, run.steps)
            callbacks.on_train_batch_begin(start)
            for guard in guards:
                guard.begin_block(epoch, start, stop)
            started = time.perf_counter()
            reached = run.train(epoch, start, stop, guarded)
            seconds = time.perf_counter() - started
            told, logs = run.logs(), run.results()
            for guard in guards:
                guard.end_block(reached, run.is_finite)
            pace.note(reached - start, seconds)
            if model.steps_per_execution == 1:
                hooks.call_within(counting, "train", start, reached)
            callbacks.on_train_batch_end(_last_step(model, run, start, reached), told)
            start = reached
            if model.stop_training:
                break
        start, logs = 0, dict(logs)
        if schedule.validate is not None and model._should_eval(epoch, schedule.validation_freq):
            logs.update({f"val_{name}": value for name, value in schedule.validate(callbacks).items()})
        callbacks.on_epoch_end(epoch, logs)
    return logs


def evaluate(model: Any, run: Run, callbacks: Any, verbose: Any = 0, block_steps: int | None = None) -> Logs:
    """The loss and the metrics on the run's data."""
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=run.steps, model=model
        )
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    pace, start = Pace(callbacks.callbacks, run.steps, block_steps, hooks.TEST_HOOKS, run.learned), 0
    while start < run.steps:
        stop = min(start + pace.block, run.steps)
        callbacks.on_test_batch_begin(start)
        started = time.perf_counter()
        run.evaluate(start, stop)
        pace.note(stop - start, time.perf_counter() - started)
        if model.steps_per_execution == 1:
            hooks.call_within(hooks.counting(callbacks.callbacks), "test", start, stop)
        callbacks.on_test_batch_end(_last_step(model, run, start, stop), run.logs())
        start = stop
        if model.stop_evaluating:
            break
    logs = pythonify_logs(run.results())
    callbacks.on_test_end(logs)
    return logs


def _last_step(model: Any, run: Run, start: int, reached: int) -> int:
    """The number of the step that callbacks get after a block. As in Keras, with `steps_per_execution` it is the last
    step of a whole block, also after a last, shorter one."""
    return (max(reached, start + model.steps_per_execution) if reached == run.steps else reached) - 1
