"""train.py's work over several processes: starting them on this machine, and being one of them."""

import os
import sys
import time

import keras
import numpy as np
from rich.console import Console

from tfbp import InputError, Model
from tfbp.agreement import trajectory
from tfbp.training import die_with_parent, keras_optimizer, multi_worker_strategy, run_local_workers
from tfbp.training.workers import is_chief
from training_report import Report


def start(arguments) -> int:
    """Run train.py as so many workers on loopback; the exit status."""
    workers, batch_size = arguments.workers, arguments.batch_size
    if workers < 1:
        raise InputError(f"workers: got {workers}; accepted: an integer of at least 1.")
    if batch_size < workers:
        raise InputError(f"workers: got {workers}; accepted: at most {batch_size}, the batch size: a row for each.")
    with Console(stderr=True).status(f"{workers} workers: starting") as status:
        failure = run_local_workers([sys.executable, *sys.argv], workers, lambda line: status.update(line[:70]))
    if failure is None:
        return 0
    if failure.status == 2:
        print(failure.said, file=sys.stderr)
        return 2
    print(failure, file=sys.stderr)
    return 1


def work(arguments, writings, network, train, validation) -> int:
    """Be one of the workers of TF_CONFIG: train every writing in turn; the first worker writes and reports."""
    die_with_parent()
    strategy = multi_worker_strategy(arguments.start_within)
    report = Report(arguments, writings, network) if is_chief(strategy) else None
    first: list = []
    for writing in writings:
        with strategy.scope():
            model = Model(network, writing, seed=arguments.seed, dtype=arguments.dtype)
            model.compile(keras_optimizer(arguments.optimizer, arguments.learning_rate), metrics=["accuracy"])
        callbacks = [Recorder(report, writing, first)] if report else []
        fit = {"batch_size": arguments.batch_size, "epochs": arguments.epochs, "verbose": 0, "callbacks": callbacks}
        try:
            model.fit(*train, validation_data=validation, **fit)
        except ConnectionError as error:
            print(error, file=sys.stderr, flush=True)
            # not sys.exit: TensorFlow would wait for the worker that is gone
            os._exit(1)
    if report:
        report.finish(len(validation[0]))
    return 0


class Recorder(keras.callbacks.Callback):
    """Every epoch into the report, held against the same epoch of the first writing; touches nothing shared."""

    def __init__(self, report: Report, writing: str, first: list) -> None:
        super().__init__()
        self.report, self.writing, self.reference = report, writing, first
        self.is_first = not first

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = time.perf_counter() - self.started

    def on_epoch_end(self, epoch, logs=None):
        parameters = self.model.get_parameters()
        flat = np.concatenate([w.astype(np.float64).ravel() for layer in parameters for w in layer.values()])
        if self.is_first:
            self.reference.append((logs["loss"], flat))
        loss, weights = self.reference[epoch]
        apart = max(abs(logs["loss"] - loss) / abs(loss), np.linalg.norm(flat - weights) / np.linalg.norm(weights))
        train, validation = ((logs[f"{split}loss"], logs[f"{split}accuracy"]) for split in ("", "val_"))
        found = trajectory.Epoch(self.writing, epoch, train, validation, self.seconds, float(apart))
        self.report.add(found, parameters)
        line = f"{self.writing}: epoch {epoch + 1}, loss {validation[0]:.4f}, accuracy {validation[1]:.4f}"
        print(line, file=sys.stderr, flush=True)
