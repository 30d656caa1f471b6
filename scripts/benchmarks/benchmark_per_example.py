#!/usr/bin/env python3
"""Time the norms of the examples' own gradients, and clipping by them, against the gradient alone.

The hand-written way is one backward pass (tfbp.manual.per_example, Model.fit with clip_per_example). TensorFlow's ways
are tf.vectorized_map and tape.jacobian. All take turns in one process. A row's ratio is to the first row of its mode.
The exit status is 0, or 2 for bad input.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from rich.console import Console

from benchmarks import report
from tfbp import InputError
from tfbp.console import options


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="turns of each (default: 21)")
    parser.add_argument("--seconds", type=float, default=0.1, help="least length of a turn (default: 0.1)")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    check(arguments)
    from tfbp.console import quiet_tensorflow  # noqa: F401, I001  before anything else that imports TensorFlow
    from benchmarks import per_example

    console = Console()
    with console.status("") as status:
        table, results = per_example.run(arguments.rounds, arguments.seconds, status.update)
    console.print(table)
    print(f"Microseconds a call, or a step of fit; {arguments.rounds} turns each; 3 layers of 256, batch 256, float32.")
    print(report.machine_line())
    if arguments.json:
        report.write_json(arguments.json, "per example", arguments.rounds, results)
    return 0


def check(arguments: argparse.Namespace) -> None:
    if arguments.rounds < 1:
        raise InputError(f"rounds: got {arguments.rounds}; accepted: an integer of at least 1.")
    if not 0 < arguments.seconds < float("inf"):
        raise InputError(f"seconds: got {arguments.seconds}; accepted: a finite number above 0.")
    options.check_file("json", arguments.json)


if __name__ == "__main__":
    sys.exit(main())
