#!/usr/bin/env python3
"""Build networks of sigmoids that compute functions to a chosen precision, without training.

Continuous functions take one hidden layer and a linear output. Functions of two variables, one of them with jumps, take
two hidden layers. The exit status is 0, 1 if a continuous function is not met, 2 for bad input.
"""

import argparse
import sys

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tfbp import InputError
from tfbp.console.options import Parser, run
from tfbp.expressive import approximation
from tfbp.expressive.functions import CONTINUOUS, OF_TWO

# a staircase that is closer has more steps than can be checked in a minute and in memory
LEAST = 1e-5


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--precision", type=float, default=1e-3, help="of the continuous functions (default: 0.001)")
    return run(parser, approximate)


def approximate(arguments: argparse.Namespace) -> int:
    if not LEAST <= arguments.precision < float("inf"):
        accepted = f"a finite number of at least {LEAST:g}"
        raise InputError(f"precision: got {arguments.precision:g}; accepted: {accepted}.")
    missed = continuous(Console(), arguments.precision)
    of_two(Console())
    return 1 if missed else 0


def continuous(console: Console, precision: float) -> int:
    table = _table(
        "One hidden layer, on [-1, 1]", "function", "steps needed", "largest error", "by least squares with", "error"
    )
    missed = 0
    waiting = Console(stderr=True)
    for name, function in track(CONTINUOUS.items(), "functions", console=waiting, transient=True):
        units = approximation.units_for(function, -1.0, 1.0, precision)
        error = _error(approximation.staircase, function, units)
        by_squares, squares_error = next(
            (
                (width, found)
                for width in (4, 8, 16, 32, 64, 128, 256, 512)
                if (found := _error(approximation.least_squares, function, width)) < precision
            ),
            ("over 512", float("nan")),
        )
        table.add_row(name, str(units), f"{error:.2e}", str(by_squares), f"{squares_error:.2e}")
        missed += not error < precision
    console.print(table)
    return missed


def of_two(console: Console) -> None:
    table = _table("Two hidden layers, on [-1, 1]²", "function", "units", "largest error", "mean error")
    for name, function in OF_TWO.items():
        for units in (4, 8, 16):
            built = approximation.staircase_of_two(function, -1.0, 1.0, units)
            errors = approximation.errors_of_two(*built, function, -1.0, 1.0)
            table.add_row(name, f"{2 * units} and {(units + 1) ** 2}", f"{errors.max():.3f}", f"{errors.mean():.4f}")
    console.print(table)
    print("The ring jumps: no continuous network comes near it at the jump, hence the mean.")


def _error(construct, function, units):
    return approximation.largest_error(*construct(function, -1.0, 1.0, units), function, -1.0, 1.0)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column == "function" else "right")
    return table


if __name__ == "__main__":
    sys.exit(main())
