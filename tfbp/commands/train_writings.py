"""Trains in one process: every writing in turn, each from the same parameters on the same batches."""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfbp import reference
from tfbp.commands.text_samples import TextSamples
from tfbp.commands.training_report import TrainingReport, loss_text
from tfbp.commands.trajectory import Epoch, Plan, Trajectories, train
from tfbp.datasets import Dataset
from tfbp.network import Network, Parameters, named_weights
from tfbp.training import TensorBoard


def targets(network: Network, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of the training and the validation samples for the network's loss."""
    labels = dataset.labels_train, dataset.labels_validation
    if network.loss.name.startswith("sparse_"):
        return labels
    floats = dataset.x_train.dtype if dataset.x_train.dtype.kind == "f" else np.float64
    one_hot = np.eye(dataset.classes, dtype=floats)
    return one_hot[labels[0]], one_hot[labels[1]]


def work(arguments: argparse.Namespace, writings: list[str], network: Network, dataset: Dataset) -> int:
    """Trains, shows the progress, and ends in a table; returns the exit status."""
    y_train, y_validation = targets(network, dataset)
    validation = dataset.x_validation, y_validation
    report = TrainingReport(arguments, writings, network)
    print(_first_line(arguments, writings, network, dataset))
    pictures: Any = None
    if arguments.picture:
        from tfbp.commands.pictures import Pictures

        pictures = Pictures(arguments.log_dir, network, dataset, y_train)
    texts = TextSamples(report.directory, network, dataset, arguments.seed) if dataset.characters else None
    console = Console(stderr=True)
    progress = _progress(console)
    task = progress.add_task("compiling", total=arguments.epochs * len(writings))
    last: list[Epoch] = []

    def follow(epoch: Epoch, parameters: Parameters) -> None:
        last[:] = [epoch]
        if epoch.writing == "reference":
            report.log_filters(epoch, parameters)
            report.log(epoch)
        report.add(epoch, parameters)
        if texts:
            texts.add(epoch, parameters)
        if pictures:
            pictures.add(epoch.writing, epoch.number, parameters)
        line = f"{epoch.writing}: epoch {epoch.number + 1}, loss {loss_text(epoch.validation[0], 4)}"
        line += f", accuracy {epoch.validation[1]:.4f}"
        progress.update(task, advance=1, description=line)
        if not console.is_terminal:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    if writings[0] == "reference":
        parameters = network.init(arguments.seed)
        rows = slice(0, arguments.batch_size)
        seconds = _seconds_of_a_step(network, parameters, dataset.x_train[rows], y_train[rows])
        steps = arguments.epochs * math.ceil(len(y_train) / arguments.batch_size)
        print(_wait_for_reference(seconds, steps), end="")
    trajectories = Trajectories(network, validation, follow)
    try:
        with progress:
            plan = Plan(
                arguments.optimizer,
                arguments.epochs,
                arguments.batch_size,
                arguments.learning_rate,
                arguments.seed,
                arguments.dtype,
            )
            for writing in writings:
                if writing == "reference":
                    report.describe(writing)
                callbacks = [] if writing == "reference" else [_tensorboard(arguments, writing, len(y_train))]
                train(trajectories, writing, (dataset.x_train, y_train), plan, callbacks)
    except KeyboardInterrupt:
        reached = f"after epoch {last[0].number + 1} of {last[0].writing}" if last else "before the first epoch's end"
        raise KeyboardInterrupt(f"stopped {reached}; curves: {arguments.log_dir}") from None
    report.finish(y_validation.size if dataset.characters else len(y_validation))
    if texts:
        print(f"Text of {writings[0]}: {texts.last[writings[0]]!r}")
    for path in pictures.save() if pictures else ():
        print(f"Picture: {path}")
    return 0


def _first_line(arguments: argparse.Namespace, writings: list[str], network: Network, dataset: Dataset) -> str:
    """Describes the network, the data and the writings, for the first line of the output."""
    model = "" if arguments.model == "mlp" else f" ({arguments.model})"
    data = (
        f"{arguments.dataset}, {len(dataset.x_train):,} training and {len(dataset.x_validation):,} validation samples"
    )
    size = sum(math.prod(shape) for _, _, shape in named_weights(network.parameter_shapes()))
    steps = f"{arguments.epochs} epochs in batches of {arguments.batch_size}, {arguments.optimizer}, {arguments.dtype}"
    return f"Training a network of {size:,} weights{model} on {data}: {steps}; by {', then '.join(writings)}."


def _wait_for_reference(seconds: float, steps: int) -> str:
    """Returns a line on the reference's time if that is half a minute or more, else nothing."""
    total = seconds * steps
    if total < 30:
        return ""
    wait = f"about {total / 60:,.0f} minutes" if total >= 90 else f"about {total:.0f} seconds"
    return f"The reference trains first, in NumPy: {wait}. --gradients manual,tape leaves it out.\n"


def _seconds_of_a_step(network: Network, parameters: Parameters, x: np.ndarray, y: np.ndarray) -> float:
    """Measures the reference's time for the loss and the gradients of one batch."""
    start = time.perf_counter()
    reference.loss_and_gradients(network, parameters, x, y, training=True, seed=None if not network.draws else 0)
    return time.perf_counter() - start


def _tensorboard(arguments: argparse.Namespace, writing: str, samples: int) -> keras.callbacks.Callback:
    every = arguments.statistics
    if every is True:
        every = math.ceil(samples / arguments.batch_size)
    return TensorBoard(f"{arguments.log_dir}/{writing}", every=every, compare=every is not None)


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
