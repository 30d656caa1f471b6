#!/usr/bin/env python3
"""Count the mistakes in gradients that each checker finds, at a good and at a lazy test point; and false alarms.

Checkers: this one, tf.test.compute_gradient with the usual 1e-3, np.allclose against autodiff and, if they are
installed (.venv-benchmark has them), PyTorch's gradcheck and JAX's check_grads. The exit status is 1 if this checker
misses a mistake that its dtype shows at a good point, does not report a lazy point, or reports a right gradient, 2
for bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from benchmarks import charts, report
from tfbp import InputError
from tfbp.console import options
from tfbp.errors import check_count

# the kinds of functions; a test holds them against the functions themselves
KINDS = (
    *("swish", "tanh", "clip", "straight-through", "normalize", "cross-entropy", "masked loss"),
    *("huber", "dense", "softmax", "layer normalization", "batch normalization", "dropout", "embedding"),
    *("max pooling", "segment mean", "attention", "recurrent", "gate", "convolution", "bilinear"),
)


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--only", default="", help="only the kinds with this in their name")
    parser.add_argument("--every", type=int, default=1, help="only every so-many-th mistake (default: 1, all)")
    parser.add_argument("--correct", type=int, default=3, help="seeds of right cases for each kind (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the test points (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    parser.add_argument("--chart", metavar="FILE", help="draw each checker's misses and refusals as an SVG to FILE")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    check_count("every", arguments.every)
    for option in ("correct", "seed"):
        if getattr(arguments, option) < 0:
            raise InputError(f"{option}: got {getattr(arguments, option)}; accepted: an integer of at least 0.")
    names = options.part_of("only", arguments.only, KINDS)
    for option in ("json", "chart"):
        options.check_file(option, getattr(arguments, option))
    if arguments.chart:
        charts.check_matplotlib()
    # the import of TensorFlow takes seconds: only from here on
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    import tfbp.console.quiet_tensorflow  # noqa: F401
    from gradient_mutants.trial import failures, kinds, right, summary, trial

    chosen = [kind for kind in kinds() if kind.name in names]
    console = Console()
    planted = [(kind, mutant) for kind in chosen for mutant in kind.mutants][:: arguments.every]
    mutants: list[dict[str, Any]] = []
    for kind, mutant in track(planted, "mistakes", console=console, transient=True):
        mutants += trial(kind, mutant, arguments.seed)
    correct: list[dict[str, Any]] = []
    fine = [(kind, seed) for kind in chosen for seed in range(arguments.correct)]
    for kind, seed in track(fine, "right ones", console=console, transient=True):
        correct += right(kind, seed)
    rows, said = summary(mutants, correct), failures(mutants, correct)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "good point", "in float64", "lazy point", "false alarms", "in float64", "seconds"):
        table.add_column(heading)
    for row in rows:
        killed = [f"{row[f'{p} killed']} of {row[f'{p} visible']}" for p in ("good", "float64", "lazy")]
        alarms = [
            f"{row[f'{p} alarms']} of {row[f'{of}correct']:,}" for p, of in (("false", ""), ("float64", "float64 "))
        ]
        table.add_row(row["contestant"], *killed, *alarms, f"{row['seconds']:.2f}")
    console.print(table)
    ours = rows[0]
    print(f"{len(planted)} mistakes. tfbp: the right argument first {ours['located']:.0%}, cause {ours['cause']:.0%}; ")
    print(f"lazy points flagged: {ours['lazy flagged']} of {ours['lazy']}.")
    print(*said, sep="\n")
    if arguments.chart:
        charts.draw_mistakes(arguments.chart, rows, report.machine_line())
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps({"summary": rows, "mutants": mutants, "correct": correct}, indent=1) + "\n"
        )
    return int(any("missed" in sentence or "not flagged" in sentence or "right:" in sentence for sentence in said))


if __name__ == "__main__":
    sys.exit(main())
