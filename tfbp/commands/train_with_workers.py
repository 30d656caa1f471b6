"""Trains in several processes: starts them on this machine, and is one of them."""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from tfbp import Model
from tfbp.commands.train_writings import targets
from tfbp.commands.training_report import TrainingReport
from tfbp.commands.trajectory import Epoch, Recorder, Trajectories
from tfbp.datasets import Dataset
from tfbp.network import Network, Parameters
from tfbp.training import die_with_parent, is_local_worker, keras_optimizer, multi_worker_strategy, run_local_workers
from tfbp.training.workers import is_chief


def is_worker() -> bool:
    """Whether `start` has started this process."""
    return is_local_worker()


def start(arguments: argparse.Namespace) -> int:
    """Trains with so many workers on loopback; returns the exit status."""
    workers = arguments.workers
    command = [sys.executable, "-m", "tfbp", "train", *_as_options(arguments)]
    console = Console(stderr=True)
    with console.status(f"{workers} workers: starting") as status:
        failure = run_local_workers(command, workers, lambda line: status.update(line[:70]))
    if failure is None:
        return 0
    print(failure.said if failure.status == 2 else failure, file=sys.stderr)
    return 2 if failure.status == 2 else 1


def _as_options(arguments: argparse.Namespace) -> list[str]:
    """Returns the command line with the same options."""
    given = {name: value for name, value in vars(arguments).items() if value not in (None, False)}
    names = {name: f"--{name.replace('_', '-')}" for name in given}
    return [names[name] if value is True else f"{names[name]}={value}" for name, value in given.items()]


def work(arguments: argparse.Namespace, writings: list[str], network: Network, dataset: Dataset) -> int:
    """Runs one of the workers of TF_CONFIG: trains every writing in turn; the first worker writes and reports."""
    die_with_parent()
    y_train, y_validation = targets(network, dataset)
    validation = dataset.x_validation, y_validation
    strategy = multi_worker_strategy(arguments.start_within)
    report = TrainingReport(arguments, writings, network) if is_chief(strategy) else None

    def follow(epoch: Epoch, parameters: Parameters) -> None:
        assert report is not None
        report.log_filters(epoch, parameters)
        report.log(epoch)
        report.add(epoch, parameters)
        loss, accuracy = epoch.validation
        line = f"{epoch.writing}: epoch {epoch.number + 1}, loss {loss:.4f}, accuracy {accuracy:.4f}"
        print(line, file=sys.stderr, flush=True)

    trajectories = Trajectories(network, validation, follow)
    for writing in writings:
        if report:
            report.describe(writing)
        with strategy.scope():
            model = Model(network, writing, seed=arguments.seed, dtype=arguments.dtype)
            model.compile(keras_optimizer(arguments.optimizer, arguments.learning_rate), metrics=["accuracy"])
        callbacks = [Recorder(trajectories, writing)] if report else []
        fit = {"batch_size": arguments.batch_size, "epochs": arguments.epochs, "verbose": 0, "callbacks": callbacks}
        try:
            model.fit(dataset.x_train, y_train, validation_data=validation, **fit)
        except ConnectionError as error:
            print(error, file=sys.stderr, flush=True)
            # not sys.exit: TensorFlow would wait for the worker that is gone
            os._exit(1)
    if report:
        report.finish(len(y_validation))
    return 0
