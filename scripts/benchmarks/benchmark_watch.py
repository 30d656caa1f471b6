#!/usr/bin/env python3
"""Time what it costs that jit_compile="auto" computes what TensorFlow does: the same fits, asked for XLA and not.

Under "auto" the data are looked up before the first step, and the program is watched where XLA is another arithmetic;
with jit_compile=True neither is done, and the rest is the same program. Models of benchmark_fit.py in one process, in
turns, an epoch each; a model that "auto" does not compile has no line. The exit status is 0, or 2 for bad input.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/
os.environ["TFBP_AUTO_XLA"] = "on"

from benchmarks.fit_data import BATCH, DATA, data
from tfbp.console import options
from tfbp.errors import check_count

MODELS = "tabular,wide-and-deep,text,lstm,autoencoder,vae,transformer"


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=MODELS, help=f"comma-separated (default: {MODELS})")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each (default: 15)")
    parser.add_argument("--steps", type=int, default=100, help="steps of an epoch, one a turn (default: 100)")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, DATA)
    check_count("rounds", arguments.rounds)
    check_count("steps", arguments.steps)
    print(f"{'model':<16}{'XLA, us a step':>16}{'auto, us a step':>18}{'median of ratios':>18}")
    for name in names:
        asked, auto = race(name, arguments.rounds, arguments.steps)
        if auto:
            cost = statistics.median(a / b for a, b in zip(auto, asked, strict=True)) - 1
            print(
                f"{name:<16}{statistics.median(asked):>16.1f}{statistics.median(auto):>18.1f}{cost:>+18.1%}", flush=True
            )
    return 0


def race(name: str, rounds: int, steps: int) -> tuple[list[float], list[float]]:
    """Microseconds a step, one number a round, with jit_compile=True and by "auto"; nothing where that compiles not."""
    import tfbp
    from benchmarks.fit_race import compiled

    x, y = data(name, steps * BATCH)
    ways = (True, "auto")
    models = [compiled(name, jit_compile=way) for way in ways]
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for model, taken in zip(models, times, strict=True):
            started = time.perf_counter()
            history = tfbp.fit(model, x, y, batch_size=BATCH, verbose=0)
            if turn:  # the first one compiles
                taken.append((time.perf_counter() - started) / steps * 1e6)
        if history.params["jit_compile"] is not True:
            return [], []
    return times


if __name__ == "__main__":
    sys.exit(main())
