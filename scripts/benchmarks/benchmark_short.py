#!/usr/bin/env python3
"""Time whole fits, from the call to its end, tracing and compiling included.

The models are those of benchmark_fit.py. Each fit has its own process, and the ways take turns: tfbp.fit, Keras as it
is compiled by default, and Keras with jit_compile=True. Adam with accuracy, validation, batches of 32, the last one
not full. With --models-each N, a process trains N models of one architecture one after the other. The exit status is
0, or 2 for bad input.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from benchmarks import charts, report
from benchmarks.fit_data import DATA
from tfbp.console import options
from tfbp.errors import InputError, check_count
from tfbp.gpu_report.processes import environment

WAYS = ("tfbp.fit", "Keras", "Keras, XLA")


def main() -> int:
    parser = options.Parser(__doc__)
    names = [name for name in DATA if name != "mobilenet"]
    parser.add_argument("--models", default=",".join(names), help="comma-separated (default: all but mobilenet)")
    parser.add_argument("--epochs", default="1,5,20,100", help="comma-separated (default: 1,5,20,100)")
    parser.add_argument("--ways", default="tfbp.fit;Keras;Keras, XLA", help="separated by ; (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--rows", type=int, default=2000, help="of the data (default: 2000)")
    parser.add_argument("--models-each", type=int, default=1, help="fits in one process (default: 1)")
    parser.add_argument(
        "--clock",
        default="wall",
        choices=("wall", "processor"),
        help="seconds that pass, or those that the processors work, where the machine does other things, too",
    )
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    parser.add_argument("--chart", metavar="FILE", help="draw the shares of Keras's time as an SVG to FILE")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, DATA)
    lengths = [_count("epochs", word) for word in arguments.epochs.split(",")]
    ways = arguments.ways.split(";")
    if unknown := [way for way in ways if way not in WAYS]:
        raise InputError(f"ways: got {unknown[0]!r}; accepted: {'; '.join(WAYS)}.")
    for name in ("rounds", "rows", "models_each"):
        check_count(name.replace("_", "-"), getattr(arguments, name))
    options.check_file("json", arguments.json)
    if arguments.chart:
        if len(ways) < 2:
            raise InputError(f"ways: got {arguments.ways!r} with --chart; accepted: two or three of them.")
        charts.check_matplotlib()
    options.check_file("chart", arguments.chart)
    results: dict[str, dict[str, Any]] = {}
    print("| model | " + " | ".join(f"{length} epochs" for length in lengths) + " |")
    print("|---|" + "---|" * len(lengths))
    for name in names:
        results[name] = {}
        for epochs in lengths:
            results[name][str(epochs)] = race(name, ways, epochs, arguments)
            if arguments.json:  # after each measurement, so that an interruption loses none
                Path(arguments.json).write_text(json.dumps(results, indent=1))
        print(
            f"| {name} | " + " | ".join(_shown(result, arguments.clock) for result in results[name].values()) + " |",
            flush=True,
        )
    print(f"Seconds of {' / '.join(ways)} by the {arguments.clock} clock, medians of {arguments.rounds},")
    print("and the first's share of the second's.")
    print(report.machine_line())
    if arguments.chart:
        charts.draw_short(arguments.chart, shares(results, arguments.clock), report.machine_line())
    return 0


def race(name: str, ways: list[str], epochs: int, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Returns the time of every way, in turns, each in a fresh process.

    Raises:
        InputError: a process failed; the message has the reason.
    """
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way in ways:
            found[way].append(_run(name, way, str(epochs), str(arguments.rows), str(arguments.models_each)))
    return found


def shares(results: dict[str, dict[str, Any]], clock: str) -> dict[str, dict[str, float]]:
    """Returns the first way's time as a share of the second's, by model and epochs."""
    table_of_shares: dict[str, dict[str, float]] = {}
    for name, row in results.items():
        for length, runs in row.items():
            first, second, *_ = runs.values()
            table_of_shares.setdefault(name, {})[length] = seconds(first, clock) / seconds(second, clock)
    return table_of_shares


def seconds(runs: list[dict[str, Any]], clock: str) -> float:
    return statistics.median(run[clock] for run in runs)


def _run(name: str, *arguments: str) -> Any:
    folder = Path(__file__).parents[1]
    paths = os.pathsep.join([str(folder), str(folder.parent), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.short_fit", name, *arguments],
        capture_output=True,
        text=True,
        env={**environment("cpu"), "PYTHONPATH": paths},
    )
    if ran.returncode:
        raise InputError(f"models: {name} broke ({ran.stderr.strip().splitlines()[-1]}).")
    return json.loads(ran.stdout.strip().splitlines()[-1])


def _shown(found: dict[str, list[dict[str, Any]]], clock: str) -> str:
    times = [seconds(runs, clock) for runs in found.values()]
    share = f" = **{times[0] / times[1]:.2f}**" if len(times) > 1 else ""
    return " / ".join(f"{time:.1f}" for time in times) + share


def _count(name: str, given: str) -> int:
    if not given.isdigit() or int(given) < 1:
        raise InputError(f"{name}: got {given!r}; accepted: integers of at least 1, separated by commas.")
    return int(given)


if __name__ == "__main__":
    sys.exit(main())
