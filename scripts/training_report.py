"""What a training run leaves: curves and parameters in its directory, and a table of its writings."""

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from tfbp.agreement.trajectory import Epoch
from tfbp.training import RunDirectory


class Report:
    def __init__(self, arguments, writings, network):
        self.log_dir = arguments.log_dir
        self.directory = RunDirectory(self.log_dir, {"settings": vars(arguments)})
        self.rows = {writing: Row() for writing in writings}
        self.network, self.dtype = network, arguments.dtype

    def add(self, epoch: Epoch, parameters) -> None:
        self.directory.log(epoch.writing, "train", epoch.number, *epoch.train)
        self.directory.log(epoch.writing, "validation", epoch.number, *epoch.validation)
        self.directory.save(epoch.writing, self.network, parameters)
        self.rows[epoch.writing].add(epoch)

    def finish(self, validation_samples: int) -> None:
        self.directory.finish({writing: vars(row) for writing, row in self.rows.items()})
        first = next(iter(self.rows))
        Console().print(_table(self.rows, first))
        print(f"{self.dtype}; loss and accuracy: on the {validation_samples:,} validation samples, after training.")
        print(f"Disagreement: largest relative difference from {first} along the whole trajectory.")
        print(f"Curves: tensorboard --logdir {self.log_dir}")


@dataclass
class Row:
    """A line of the final table: the last epoch's validation, and what adds up along the way."""

    loss: float = float("nan")
    accuracy: float = float("nan")
    seconds: float = 0.0
    disagreement: float = 0.0

    def add(self, epoch: Epoch) -> None:
        self.loss, self.accuracy = epoch.validation
        self.seconds += epoch.seconds
        # written so that a NaN stays
        self.disagreement = float(np.maximum(self.disagreement, epoch.disagreement))


def _table(rows: dict[str, Row], first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("gradients")
    for heading in ("loss", "accuracy", "seconds", "disagreement"):
        table.add_column(heading, justify="right")
    for writing, row in rows.items():
        disagreement = "–" if writing == first else f"{row.disagreement:.1e}" if row.disagreement else "0"
        table.add_row(writing, f"{row.loss:.6f}", f"{row.accuracy:.4f}", f"{row.seconds:.1f}", disagreement)
    return table
