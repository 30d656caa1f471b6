#!/usr/bin/env python3
"""Build networks of one hidden layer for all Boolean functions of n inputs, and learn them by backpropagation.

Built: all functions for n up to 4, checked at every input, and n-bit parity. Learned (--learn): all functions for n
up to 3, and parity for larger n, from many random starts. The exit status is 0, 1 if a built network is wrong, 2 for
bad input.
"""

import argparse
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from tfbp import InputError, reference
from tfbp.console.options import Parser, run
from tfbp.expressive import boolean

# all starts of all functions are trained at once
MOST_SEEDS = 1000


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--inputs", type=int, default=4, help="n, from 1 to 4 (default: 4)")
    parser.add_argument("--learn", action="store_true", help="train, too: about a minute")
    parser.add_argument("--seeds", type=int, default=20, help="random starts of each function (default: 20)")
    return run(parser, show)


def show(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.inputs <= 4:
        raise InputError(f"inputs: got {arguments.inputs}; accepted: 1 to 4.")
    if not 1 <= arguments.seeds <= MOST_SEEDS:
        raise InputError(f"seeds: got {arguments.seeds}; accepted: 1 to {MOST_SEEDS}.")
    wrong = build(Console(), arguments.inputs)
    if arguments.learn:
        learn(Console(), arguments.inputs, arguments.seeds)
    return 1 if wrong else 0


def build(console: Console, most_inputs: int) -> int:
    table = _table("Built", "n", "functions", "wrong", "hidden units, most", "mean", "2^(n-1)", "parity takes", "wrong")
    all_wrong = 0
    for n in range(1, most_inputs + 1):
        tables = boolean.all_tables(n)
        outputs = boolean.evaluate_many(boolean.construct_many(tables), boolean.truth_rows(n))
        network, parameters = boolean.construct_parity(n)
        parity = reference.forward(network, parameters, boolean.truth_rows(n))[:, 0]
        wrong = int((outputs != tables).any(axis=1).sum())
        parity_wrong = int((parity != boolean.parity_table(n)).sum())
        units = boolean.hidden_units(tables)
        cells = (n, f"{len(tables):,}", wrong, units.max(), f"{units.mean():.2f}", 2 ** (n - 1), n, parity_wrong)
        table.add_row(*map(str, cells))
        all_wrong += wrong + parity_wrong
    console.print(table)
    return all_wrong


def learn(console: Console, most_inputs: int, seeds: int) -> None:
    from tfbp.console import quiet_tensorflow  # noqa: F401  before anything else that imports TensorFlow
    from tfbp.expressive import learning

    table = _table("Learned", "n", "functions", "hidden units", "starts", "successes", "functions never learned")
    for n in range(2, most_inputs + 1):
        tables = boolean.all_tables(n) if n <= 3 else boolean.parity_table(n)[None]
        for units in sorted({n, 2 ** (n - 1)}):
            learned = learning.learn(tables, units, seeds)
            what = f"all {len(tables)}" if n <= 3 else "parity"
            never = int((~learned.any(axis=1)).sum())
            table.add_row(str(n), what, str(units), str(learned.size), f"{np.mean(learned):.1%}", str(never))
    console.print(table)
    print(f"tanh hidden units, a sigmoid output, {learning.STEPS:,} steps of gradient descent with momentum.")
    print("A success: the output is on the right side of ½ at every input.")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    sys.exit(main())
