"""train's work in one process: every writing in turn, each from the same parameters on the same batches."""

from __future__ import annotations

import argparse
import math
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfbp.commands.text_samples import TextSamples
from tfbp.commands.training_report import TrainingReport, loss_text
from tfbp.commands.trajectory import Epoch, Plan, Trajectories, train
from tfbp.datasets import Dataset
from tfbp.network import Network, Parameters
from tfbp.training import TensorBoard


def targets(network: Network, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the training and the validation samples as the network's loss takes them."""
    labels = dataset.labels_train, dataset.labels_validation
    if network.loss.name.startswith("sparse_"):
        return labels
    floats = dataset.x_train.dtype if dataset.x_train.dtype.kind == "f" else np.float64
    one_hot = np.eye(dataset.classes, dtype=floats)
    return one_hot[labels[0]], one_hot[labels[1]]


def work(arguments: argparse.Namespace, writings: list[str], network: Network, dataset: Dataset) -> int:
    """Train, show how far it is, and end in a table; the exit status."""
    y_train, y_validation = targets(network, dataset)
    validation = dataset.x_validation, y_validation
    report = TrainingReport(arguments, writings, network)
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


def _tensorboard(arguments: argparse.Namespace, writing: str, samples: int) -> keras.callbacks.Callback:
    every = arguments.statistics
    if every is True:
        every = math.ceil(samples / arguments.batch_size)
    return TensorBoard(f"{arguments.log_dir}/{writing}", every=every, compare=every is not None)


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
