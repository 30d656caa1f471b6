#!/usr/bin/env python3
"""Measure tfbp.losses.linear_cross_entropy against tape: a matrix product, softmax cross-entropy, GradientTape.

Loss, dx and dkernel of random tokens in float32, on the CPU. Each contestant has its own process. Both must compute the
same numbers; then they take turns. Memory is the peak of a process in its first steps, less the memory before them,
which includes the arguments. The script measures one size in each mode, then more tokens and more classes in the first
mode. The exit status is 0, or 1 when a contestant failed or computed other numbers, 2 for bad input. Linux only.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from rich.console import Console

from benchmarks import charts, report
from benchmarks.cross_entropy import MODES, CrossEntropyPoint, measure, table
from tfbp import InputError
from tfbp.console import options


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--modes", default="graph,xla", help=f"of {','.join(MODES)} (default: graph,xla)")
    parser.add_argument("--tokens", type=int, default=8192, help="default: 8192")
    parser.add_argument("--width", type=int, default=256, help="default: 256")
    parser.add_argument("--classes", type=int, default=32768, help="default: 32768")
    parser.add_argument("--growth", type=int, default=5, help="sizes of each growth, 0 for none (default: 5)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contestant (default: 7)")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    parser.add_argument("--chart", metavar="FILE", help="draw the growth as an SVG to FILE")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    check(arguments)
    return run(arguments, Console())


def check(arguments: argparse.Namespace) -> None:
    arguments.modes = options.choices("modes", arguments.modes, MODES)
    for name in ("tokens", "width", "classes", "rounds"):
        if getattr(arguments, name) < 1:
            raise InputError(f"{name}: got {getattr(arguments, name)}; accepted: an integer of at least 1.")
    if arguments.growth < 0:
        raise InputError(f"growth: got {arguments.growth}; accepted: an integer of at least 0.")
    if not Path("/proc/self/clear_refs").exists():
        raise InputError(
            f"memory: got a {sys.platform} system; accepted: Linux, where the peak of memory can be reset."
        )
    if arguments.chart is not None:
        if arguments.growth == 0:
            raise InputError(f"chart: got {arguments.chart!r}; accepted: none without growth.")
        charts.check_matplotlib()
    options.check_file("json", arguments.json)
    options.check_file("chart", arguments.chart)


def run(arguments: argparse.Namespace, console: Console) -> int:
    here = {"tokens": arguments.tokens, "width": arguments.width, "classes": arguments.classes}
    points = [CrossEntropyPoint(mode, **here) for mode in arguments.modes]
    growth = {}
    for axis in ("tokens", "classes"):
        # from an eighth of the size to twice it, by factors of 2
        sizes = [here[axis] * 2**power // 8 for power in range(arguments.growth)]
        growth[axis] = [CrossEntropyPoint(arguments.modes[0], **{**here, axis: size}) for size in sizes if size]
    results = {}
    for point in [*points, *growth["tokens"], *growth["classes"]]:
        if point not in results:
            with console.status("") as status:
                results[point] = measure(point, arguments.rounds, status.update)
    console.print(table(list(results.values())))
    print(f"Medians of {arguments.rounds} rounds, width {arguments.width}; MiB beyond the arguments.")
    for result in results.values():
        if result.error:
            print(f"Error: {result.point}: {result.error}")
    print(report.machine_line())
    if arguments.json:
        rows = [result.to_json() for result in results.values()]
        report.write_json(arguments.json, "cross-entropy", arguments.rounds, rows)
    failed = any(result.error for result in results.values())
    if arguments.chart and not failed:
        by_axis = {axis: [results[point] for point in of_axis] for axis, of_axis in growth.items()}
        charts.draw_cross_entropy(arguments.chart, by_axis, report.machine_line())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
