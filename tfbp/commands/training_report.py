"""Writes the results of a training run: curves and parameters in its directory, and a table of its writings."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tfbp.commands.trajectory import Epoch
from tfbp.console.run_directory import RunDirectory
from tfbp.network import Network, Parameters
from tfbp.training import filters, summaries
from tfbp.vocabulary import OPTIMIZERS


class TrainingReport:
    """Collects every epoch; `TensorBoard` writes the curves of manual and tape."""

    def __init__(self, arguments: argparse.Namespace, writings: list[str], network: Network) -> None:
        self.log_dir = arguments.log_dir
        self.directory = RunDirectory(self.log_dir, {"settings": vars(arguments)})
        self.rows = {writing: Row() for writing in writings}
        self.network, self.dtype, self.settings = network, arguments.dtype, arguments

    def describe(self, writing: str) -> None:
        """Writes the run's hyperparameters, where no `TensorBoard` does."""
        settings = self.settings
        rate = settings.learning_rate or OPTIMIZERS[settings.optimizer]
        values = {
            # not made for its name: workers compare their optimizers, by names that count
            "optimizer": "Adam" if settings.optimizer == "adam" else "SGD",
            "learning_rate": rate,
            **summaries.hparams_of_network(self.network),
            "gradients": writing,
            "seed": settings.seed,
            "dtype": "float64" if writing == "reference" else self.dtype,
            "batch_size": settings.batch_size,
        }
        with self.directory.writer(writing, "train").as_default():
            for message in summaries.hparams(values, ("accuracy", "loss"), f"{self.log_dir}/{writing}"):
                summaries.write(message, step=0)

    def log(self, epoch: Epoch) -> None:
        self.directory.log(epoch.writing, "train", epoch.number, *epoch.train)
        self.directory.log(epoch.writing, "validation", epoch.number, *epoch.validation)

    def log_filters(self, epoch: Epoch, parameters: Parameters) -> None:
        """Writes the image of the first convolution's filters, where no `TensorBoard` does."""
        with self.directory.writer(epoch.writing, "train").as_default():
            filters.write(self.network, parameters, epoch.number)

    def add(self, epoch: Epoch, parameters: Parameters) -> None:
        self.directory.save(epoch.writing, self.network, parameters)
        self.rows[epoch.writing].add(epoch)

    def finish(self, validation_samples: int) -> None:
        self.directory.finish({writing: vars(row) for writing, row in self.rows.items()})
        first = next(iter(self.rows))
        Console().print(_table(self.rows, first))
        print(f"{self.dtype}; loss and accuracy: on the {validation_samples:,} validation samples, after training.")
        print("Seconds: of the first epoch, which compiles the steps, and of all others together.")
        print(f"Disagreement: largest relative difference from {first} along the whole trajectory.")
        print(f"Curves: {tensorboard_command(self.log_dir)}")


def tensorboard_command(log_dir: str) -> str:
    """Returns a command that shows the curves and exists here: of make, of the PATH, or of this Python."""
    if "MAKELEVEL" in os.environ and Path(log_dir).parts[0] == "logs":
        return "make tensorboard"
    program = "tensorboard" if shutil.which("tensorboard") else f"{sys.executable} -m tensorboard.main"
    return f"{program} --logdir {log_dir}"


def loss_text(loss: float, digits: int) -> str:
    """Returns a loss with so many decimals; its order of magnitude where it is huge."""
    return f"{loss:.{digits}f}" if not abs(loss) >= 1e6 else f"{loss:.3g}"


@dataclass
class Row:
    """Returns a line of the final table: the last epoch's validation, and the sums along the way."""

    loss: float = float("nan")
    accuracy: float = float("nan")
    first_epoch_seconds: float = 0.0
    other_seconds: float = 0.0
    disagreement: float = 0.0

    def add(self, epoch: Epoch) -> None:
        self.loss, self.accuracy = epoch.validation
        if epoch.number == 0:
            self.first_epoch_seconds = epoch.seconds
        else:
            self.other_seconds += epoch.seconds
        # in this form a NaN stays
        self.disagreement = float(np.maximum(self.disagreement, epoch.disagreement))


def _table(rows: dict[str, Row], first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("gradients")
    for heading in ("loss", "accuracy", "first epoch, s", "others, s", "disagreement"):
        table.add_column(heading, justify="right")
    for writing, row in rows.items():
        disagreement = "–" if writing == first else f"{row.disagreement:.1e}" if row.disagreement else "0"
        seconds = (f"{each:.2f}" for each in (row.first_epoch_seconds, row.other_seconds))
        table.add_row(writing, loss_text(row.loss, 6), f"{row.accuracy:.4f}", *seconds, disagreement)
    return table
