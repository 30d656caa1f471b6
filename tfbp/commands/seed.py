"""Shows the 2-2-1 network this project starts from: the published listing, the right gradient, and the bug."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from tfbp.console.options import Parser, need, run


def main(given: Sequence[str] | None = None) -> int:
    return run(Parser(__doc__, prog="tfbp seed"), show, given)


def show(arguments: argparse.Namespace) -> int:
    need("rich")
    from rich import box
    from rich.console import Console
    from rich.table import Table

    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
    from tfbp import manual, reference, tape
    from tfbp.commands import worked_example

    console = Console()
    runs = {"published": worked_example.train_published()}
    for name, writing in {"reference": reference, "manual": manual, "tape": tape}.items():
        runs[name] = worked_example.train(writing.loss_and_gradients)

    table = Table(
        title="Error ½(y - o)² along 100 steps", title_justify="left", box=box.SIMPLE, padding=0, collapse_padding=True
    )
    for column in ("gradients", "step 0", "step 1", "step 99"):
        table.add_column(column, no_wrap=True)
    for name, (errors, _, _) in runs.items():
        table.add_row(name, *(repr(errors[step]) for step in (0, 1, 99)))
    console.print(table)
    for name, (_, w0, w1) in runs.items():
        weights = [np.array2string(w, precision=8, separator=", ").replace("\n", "") for w in (w0, w1)]
        console.print(
            f"{name:<10} final W0 {weights[0]}  W1 {weights[1]}", highlight=False, soft_wrap=True, markup=False
        )

    console.print("\nThe listing's tensors at step 0, from the loss back, against the reference:")
    comparisons = worked_example.check_published()
    for comparison in comparisons:
        verdict = "agrees" if comparison.agrees else f"WRONG: {comparison.mistake}"
        console.print(f"  {comparison.tensor:<16} {verdict}", highlight=False, soft_wrap=True)
    first = next(comparison for comparison in comparisons if not comparison.agrees)
    console.print(f"First wrong tensor: {first.tensor}. {first.mistake}.", highlight=False, soft_wrap=True)
    return 0
