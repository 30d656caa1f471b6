#!/usr/bin/env python3
"""Time a training step of Keras models that tfbp did not write: by tfbp.fit, and by each way of Keras.

Each model has its own process, and its contestants take turns. First tfbp.fit without XLA must follow Keras's curve.
Adam with accuracy, batches of 32, data in memory. Further contestants: Keras on JAX and a plain PyTorch loop, if
installed, each in its own process; tfbp.fit of the model with the layers of tfbp.layers; and the limit, the model's own
train_step in one program without anything else. The exit status is 0, or 2 for bad input.
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

from benchmarks import charts, fit_peers, report
from benchmarks.fit_data import ALONE, DATA, SWAPPED
from tfbp import InputError
from tfbp.console import options
from tfbp.errors import check_count
from tfbp.gpu_report.processes import environment

KERAS = ("Keras", "Keras, XLA", "Keras, epoch", "Keras, epoch, XLA")
PEERS = {"keras-jax": "Keras on JAX", "torch": "PyTorch"}


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=",".join(DATA), help="comma-separated (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default: 7)")
    parser.add_argument("--steps", type=int, default=100, help="steps of an epoch, one a turn (default: 100)")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    parser.add_argument("--chart", metavar="FILE", help="draw how much longer the others take as an SVG to FILE")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, DATA)
    check_count("rounds", arguments.rounds)
    check_count("steps", arguments.steps)
    options.check_file("json", arguments.json)
    if arguments.chart:
        charts.check_matplotlib()
    options.check_file("chart", arguments.chart)
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    headings = ("model", "tfbp.fit", "swapped", "Keras", "its best", *PEERS.values(), ALONE, "ratio", "to its best")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "model" else "right")
    console, results = Console(), {}
    with console.status("") as status:
        for name in names:
            status.update(name)
            results[name] = race(name, arguments.rounds, arguments.steps)
            times = results[name]
            if arguments.json:  # after each: so an interruption loses no result
                Path(arguments.json).write_text(json.dumps(results, indent=1))
            shown = [times["tfbp.fit"], times[SWAPPED], times["Keras"], min((times[label] for label in KERAS), key=min)]
            shown += [times[label] for label in (*PEERS.values(), ALONE)]
            table.add_row(name, *map(_shown, shown), *(f"{ratio:.2f}" for ratio in ratios(times)))
    console.print(table)
    print(f"Microseconds a step: medians (minima) of {arguments.rounds} turns of {arguments.steps} steps.")
    print("Keras by default; and its best way: that, jit_compile=True, or an epoch in one call, with it and without.")
    print(report.machine_line())
    if arguments.chart:
        charts.draw_fit(
            arguments.chart, {name: beside(times) for name, times in results.items()}, report.machine_line()
        )
    return 0


def race(name: str, rounds: int, steps: int) -> dict[str, list[float]]:
    """Returns the times of one model's contestants.

    Raises:
        InputError: its process broke; the message has the reason.
    """
    times = _run(name, "benchmarks.fit_race", name, str(rounds), str(steps))
    for peer, label in PEERS.items():
        there = fit_peers.is_there(peer, name)
        times[label] = _run(name, "benchmarks.fit_peers", peer, name, str(rounds), str(steps)) if there else []
    return times


def _run(name: str, module: str, *arguments: str) -> Any:
    """Returns the JSON that a module prints, in a process of its own."""
    folder = Path(__file__).parents[1]
    paths = os.pathsep.join([str(folder), str(folder.parent), os.environ.get("PYTHONPATH", "")])
    backend = {"KERAS_BACKEND": "jax"} if "keras-jax" in arguments else {}
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        env={**environment("cpu"), **backend, "PYTHONPATH": paths},
    )
    if ran.returncode:
        raise InputError(f"models: {name} broke ({ran.stderr.strip().splitlines()[-1]}).")
    return json.loads(ran.stdout.strip().splitlines()[-1])


def ratios(times: dict[str, list[float]]) -> tuple[float, float]:
    """Returns how much longer Keras's default takes than tfbp.fit, and the best of Keras's ways; by minima."""
    ours, theirs = min(times["tfbp.fit"]), [min(times[label]) for label in KERAS]
    return theirs[0] / ours, min(theirs) / ours


def beside(times: dict[str, list[float]]) -> dict[str, float]:
    """Returns how much longer the others take than tfbp.fit, by minima."""
    longer = dict(zip(("Keras, by default", "Keras, its best way"), ratios(times), strict=True))
    peers = {label: min(times[label]) for label in PEERS.values() if times[label]}
    return {**longer, **{label: time / min(times["tfbp.fit"]) for label, time in peers.items()}}


def _shown(times: list[float]) -> str:
    return f"{statistics.median(times):,.0f} ({min(times):,.0f})" if times else "-"


if __name__ == "__main__":
    sys.exit(main())
