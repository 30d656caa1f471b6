#!/usr/bin/env python3
"""Time training steps: tfbp.Model against Keras, JAX, PyTorch, scikit-learn, NumPy, and the matrix products alone.

    --what training     microseconds a step, by contestant and size (default)
    --what growth       a step's time against batch, width and depth
    --what gradients    manual against tape, loss and gradients of one batch, interleaved in pairs
    --what callbacks    the cost of TerminateOnNaN and TensorBoard, interleaved in pairs
    --what layers       each of tfbp.layers in fit against Keras's own, taking turns
    --what images       a small convolutional network, by hand, by tape and by Keras, as its width and images grow
    --what attention    causal self-attention as the sequence grows, against Keras's and PyTorch's: time, and memory
    --what recurrence   LSTM and GRU as steps and units grow, against Keras's and PyTorch's

relu, sparse softmax cross-entropy, plain SGD, float32, shuffled batches, no metrics. Each contestant has a process of
its own. First all must follow the float64 reference from the same weights; then they take turns. A contestant without
its package, or one that cannot run on the device, is n/a. The exit status is 0, or 1 when a contestant failed, computed
other numbers or ran on another device, 2 for bad input.
"""

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from rich.console import Console

from benchmarks import charts, report
from benchmarks.contestants import CONTESTANTS
from benchmarks.layer_cases import LAYERS
from benchmarks.problem import SIZES, Size, growth_sizes
from benchmarks.race import race
from tfbp import InputError
from tfbp.console import options
from tfbp.errors import check_choice

# pairs of runs, and the least seconds of a run
PAIRS = {
    "gradients": (201, 0.05),
    "callbacks": (21, 0.5),
    "layers": (15, 0.2),
    "images": (9, 0.5),
    "attention": (9, 0.2),
    "recurrence": (15, 0.05),
}
WHAT = ("training", "growth", *PAIRS)
CHARTED = ("training", "growth", "images", "attention", "recurrence")
GROWTH_CONTESTANTS = ("manual", "keras", "jax-scan", "torch", "limit")


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--what", default="training", help=f"{', '.join(WHAT)} (default: training)")
    parser.add_argument("--device", default="cpu", help="cpu or gpu (default: cpu)")
    parser.add_argument("--sizes", default=",".join(SIZES), help=f"with training, of {','.join(SIZES)} (default: all)")
    parser.add_argument("--contestants", help=f"of {','.join(CONTESTANTS)} (default: all; with growth, fewer)")
    parser.add_argument("--layers", help="with layers, which of them, as 'Dense relu,Conv2D' (default: all)")
    parser.add_argument("--rounds", type=int, help="turns of each contestant (default: 9), or pairs (9 to 201)")
    parser.add_argument("--seconds", type=float, help="least length of a turn or of a run (by default 0.05 to 0.5)")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    parser.add_argument("--chart", metavar="FILE", help=f"with {', '.join(CHARTED)}, draw an SVG to FILE")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    check(arguments)
    # without a terminal's width, a row stays a line
    console = Console(width=None if sys.stdout.isatty() else 160)
    return {"training": training, "growth": growth}.get(arguments.what, pairs)(arguments, console)


def check(arguments: argparse.Namespace) -> None:
    check_choice("what", arguments.what, WHAT)
    check_choice("device", arguments.device, ("cpu", "gpu"))
    rounds, seconds = PAIRS.get(arguments.what, (9, 0.2))
    if arguments.rounds is None:
        arguments.rounds = rounds
    if arguments.seconds is None:
        arguments.seconds = seconds
    if arguments.rounds < 1:
        raise InputError(f"rounds: got {arguments.rounds}; accepted: an integer of at least 1.")
    if not 0 < arguments.seconds < float("inf"):
        raise InputError(f"seconds: got {arguments.seconds}; accepted: a finite number above 0.")
    chosen = GROWTH_CONTESTANTS if arguments.what == "growth" else CONTESTANTS
    given = ",".join(chosen) if arguments.contestants is None else arguments.contestants
    arguments.contestants = options.choices("contestants", given, CONTESTANTS)
    if arguments.layers is not None:
        if arguments.what != "layers":
            raise InputError(f"layers: got {arguments.layers!r}; accepted: with --what layers.")
        arguments.layers = options.choices("layers", arguments.layers, LAYERS)
    arguments.sizes = options.choices("sizes", arguments.sizes, SIZES)
    if arguments.chart is not None:
        if arguments.what not in CHARTED:
            raise InputError(f"chart: got {arguments.chart!r}; accepted: none with --what {arguments.what}.")
        charts.check_matplotlib()
    options.check_file("json", arguments.json)
    options.check_file("chart", arguments.chart)
    if arguments.device != "cpu":
        from tfbp.console import quiet_tensorflow  # noqa: F401  before anything else that imports TensorFlow
        from tfbp.judging.placement import check_device

        check_device(arguments.device)


def training(arguments: argparse.Namespace, console: Console) -> int:
    results = []
    for size in arguments.sizes:
        with console.status("") as status:
            found = _race(SIZES[size], arguments, status.update)
        console.print(report.table(SIZES[size].name, found), "", sep="\n")
        results += found
    if arguments.chart:
        charts.draw_sizes(arguments.chart, results, report.machine_line(arguments.device))
    return finish(arguments, results, [result.to_json() for result in results])


def _race(size: Size, arguments: argparse.Namespace, say: Callable[[str], None]) -> list[report.RaceResult]:
    return race(size, arguments.contestants, arguments.rounds, arguments.seconds, say, arguments.device)


def growth(arguments: argparse.Namespace, console: Console) -> int:
    by_axis, rows = {}, []
    for axis, points in growth_sizes().items():
        by_axis[axis] = []
        for at, size in points:
            with console.status("") as status:
                found = _race(size, arguments, status.update)
            console.print(report.table(f"{axis} {at}: {size.name}", found), "", sep="\n")
            by_axis[axis] += [(at, result) for result in found]
            rows += [{"axis": axis, "at": at, **result.to_json()} for result in found]
    if arguments.chart:
        charts.draw_growth(arguments.chart, by_axis, report.machine_line(arguments.device))
    return finish(arguments, [result for points in by_axis.values() for _, result in points], rows)


def pairs(arguments: argparse.Namespace, console: Console) -> int:
    from tfbp.console import quiet_tensorflow  # noqa: F401, I001  before anything else that imports TensorFlow
    from benchmarks.placed import Misplaced, alone_on

    of = import_module(f"benchmarks.{arguments.what}")
    of_layers = [] if arguments.layers is None else [arguments.layers]
    try:
        with alone_on(arguments.device):
            table, results = of.run(arguments.rounds, arguments.seconds, arguments.device, *of_layers)
    except Misplaced as error:
        print(error)
        return 1
    console.print(table)
    if arguments.chart:
        draw = getattr(charts, f"draw_{arguments.what}")
        draw(arguments.chart, results, report.machine_line(arguments.device))
    print(f"{of.UNIT}, {arguments.rounds} interleaved pairs; {getattr(of, 'TASK', 'sparse cross-entropy, float32')}.")
    return finish(arguments, [], results)


def finish(arguments: argparse.Namespace, results: list, rows: list[dict]) -> int:
    if results:
        print(f"Microseconds a step, {arguments.rounds} rounds. All that ran followed the float64 reference first.")
    print(*report.reasons(results), sep="\n", end="\n" if report.reasons(results) else "")
    print(report.machine_line(arguments.device))
    if arguments.json:
        report.write_json(arguments.json, arguments.what, arguments.rounds, rows, arguments.device)
    return 1 if any(result.error for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
