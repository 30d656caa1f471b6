#!/usr/bin/env python3
"""Train one network by several writings, in lockstep: same parameters, same batches, curves on the same charts.

The exit status is 0, or 2 for bad input.
"""

import argparse
import os
import sys
import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import quiet_tensorflow  # noqa: F401
import train_with_workers
from pictures import Pictures
from tfbp import Dense, InputError, Network, datasets
from tfbp.agreement import trajectory
from tfbp.checks import check_choice
from tfbp.training import OPTIMIZERS, is_local_worker
from training_report import Report

WRITINGS = ("manual", "tape", "reference")
DTYPES = ("float32", "float64")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits", help=f"{', '.join(datasets.DATASETS)} (default: digits)")
    parser.add_argument("--gradients", help="default: reference,manual,tape; with workers manual,tape")
    parser.add_argument("--layers", default="64,32", help="units of the hidden layers, '' for none (default: 64,32)")
    parser.add_argument("--activation", default="relu", help="of the hidden layers, a Keras name (default: relu)")
    parser.add_argument("--loss", default="sparse_categorical_crossentropy", help="default: %(default)s")
    parser.add_argument("--optimizer", default="adam", help=f"{', '.join(OPTIMIZERS)} (default: adam)")
    rates = ", ".join(f"{name} {rate}" for name, rate in OPTIMIZERS.items())
    parser.add_argument("--learning-rate", type=float, help=f"default: {rates}")
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--dtype", default="float32", help="float32 (default) or float64; the reference: float64")
    parser.add_argument("--seed", type=int, default=0, help="of the initial parameters and the shuffling (default: 0)")
    parser.add_argument("--workers", type=int, help="processes that share every batch; see docs/several_machines.md")
    parser.add_argument("--start-within", type=float, default=120, help="seconds a worker waits for all (default: 120)")
    parser.add_argument("--log-dir", help="a new directory for the curves (default: logs/<dataset>-<date>-<time>)")
    parser.add_argument("--picture", action="store_true", help="of the plane's sets: a GIF and TensorBoard images")
    arguments = parser.parse_args()
    try:
        return train(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def train(arguments: argparse.Namespace) -> int:
    several = arguments.workers is not None or "TF_CONFIG" in os.environ
    writings, units = _check(arguments, several)
    arguments.log_dir = arguments.log_dir or time.strftime(f"logs/{arguments.dataset}-%Y%m%d-%H%M%S")
    dataset = datasets.load(arguments.dataset, arguments.dtype)
    samples = len(dataset.x_train)
    if not 1 <= arguments.batch_size <= samples:
        raise InputError(f"batch-size: got {arguments.batch_size}; accepted: 1 to {samples}, the training samples.")
    hidden = [Dense(each, arguments.activation) for each in units]
    network = Network(dataset.inputs, [*hidden, Dense(dataset.classes)], arguments.loss)
    y_train, y_validation = dataset.labels_train, dataset.labels_validation
    if not network.loss.name.startswith("sparse_"):
        y_train, y_validation = (np.eye(dataset.classes, dtype=arguments.dtype)[y] for y in (y_train, y_validation))
    if arguments.workers is not None and not is_local_worker():
        return train_with_workers.start(arguments)
    validation = (dataset.x_validation, y_validation)
    if several:
        return train_with_workers.work(arguments, writings, network, (dataset.x_train, y_train), validation)

    parameters = network.init(arguments.seed)
    trainers = trajectory.trainers(
        writings, network, parameters, arguments.optimizer, arguments.learning_rate, dataset.x_train, y_train
    )
    pictures = Pictures(arguments.log_dir, network, dataset, y_train) if arguments.picture else None
    report = Report(arguments, writings, network)
    epochs = trajectory.train_in_lockstep(
        trainers, validation, samples, arguments.epochs, arguments.batch_size, arguments.seed
    )
    with _progress() as progress:
        task = progress.add_task("compiling", total=arguments.epochs * len(writings))
        for epoch in epochs:
            parameters = trainers[epoch.writing].parameters()
            report.add(epoch, parameters)
            if pictures:
                pictures.add(epoch.writing, epoch.number, parameters)
            loss, accuracy = epoch.validation
            progress.update(task, advance=1, description=f"{epoch.writing}: loss {loss:.4f}, accuracy {accuracy:.4f}")
    report.finish(len(y_validation))
    for path in pictures.save() if pictures else ():
        print(f"Picture: {path}")
    return 0


def _check(arguments: argparse.Namespace, several: bool) -> tuple[list[str], list[int]]:
    """What no other part of the program checks; the writings and the hidden layers' units."""
    check_choice("dtype", arguments.dtype, DTYPES)
    check_choice("optimizer", arguments.optimizer, OPTIMIZERS)
    arguments.gradients = arguments.gradients or ("manual,tape" if several else "reference,manual,tape")
    writings = arguments.gradients.split(",")
    for writing in writings:
        check_choice("gradients", writing, WRITINGS)
    if len(set(writings)) < len(writings):
        raise InputError(f"gradients: got {arguments.gradients!r}; accepted: each writing once.")
    if several and "reference" in writings:
        raise InputError(f"gradients: got {arguments.gradients!r} with workers; accepted: manual, tape.")
    if several and arguments.picture:
        raise InputError("picture: got it with workers; accepted: with a single process.")
    if arguments.epochs < 1:
        raise InputError(f"epochs: got {arguments.epochs}; accepted: an integer of at least 1.")
    if not 0 < arguments.start_within < float("inf"):
        raise InputError(f"start-within: got {arguments.start_within}; accepted: a number of seconds above 0.")
    if arguments.seed < 0:
        raise InputError(f"seed: got {arguments.seed}; accepted: an integer of at least 0.")
    try:
        return writings, [int(word) for word in arguments.layers.split(",") if arguments.layers]
    except ValueError as error:
        raise InputError(f"layers: got {arguments.layers!r}; accepted: integers with commas, as in 64,32.") from error


def _progress() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    sys.exit(main())
