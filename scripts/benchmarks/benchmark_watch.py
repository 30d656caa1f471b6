#!/usr/bin/env python3
"""Time the checks by which jit_compile="auto" keeps TensorFlow's results: the same fits with "auto" and with True.

Under "auto" tfbp looks at the data before the first step, and watches the program where XLA computes otherwise. With
jit_compile=True it does neither; the rest of the program is the same. The models are those of benchmark_fit.py, and
two with watched programs. All take turns in one process, with a fit of one epoch and a longer fit. The difference of
the two is the time of the steps; the rest of the short fit is the work that a fit does once. A model that "auto" does
not compile has no line. The exit status is 0, or 2 for bad input.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/
os.environ["TFBP_AUTO_XLA"] = "on"

from benchmarks.fit_data import BATCH, DATA, data
from tfbp.console import options
from tfbp.errors import check_count

# watched models: the largest of 100 places, whose numbers may be NaN; a root in the loss
WATCHED = ("largest", "root")
MODELS = "tabular,wide-and-deep,text,lstm,autoencoder,vae,transformer,largest,root"
TITLES = ("model", "alarms", "XLA, us a step", "auto, us a step", "a step", "a fit, ms")
WIDTHS = (16, 8, 16, 18, 10, 12)


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=MODELS, help=f"comma-separated (default: {MODELS})")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each (default: 15)")
    parser.add_argument("--steps", type=int, default=100, help="steps of an epoch (default: 100)")
    parser.add_argument("--epochs", type=int, default=10, help="that the longer fit has more (default: 10)")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, (*DATA, *WATCHED))
    check_count("rounds", arguments.rounds)
    check_count("steps", arguments.steps)
    check_count("epochs", arguments.epochs)
    print("".join(f"{title:>{width}}" for title, width in zip(TITLES, WIDTHS, strict=True)))
    for name in names:
        steps, fits, alarms = race(name, arguments.rounds, arguments.steps, arguments.epochs)
        if alarms is None:
            continue
        cost = statistics.median(auto / asked for asked, auto in zip(*steps, strict=True)) - 1
        once = statistics.median(auto - asked for asked, auto in zip(*fits, strict=True))
        asked, auto = (statistics.median(step) * 1e6 for step in steps)
        cells = (name, str(alarms), f"{asked:.1f}", f"{auto:.1f}", f"{cost:+.1%}", f"{once * 1e3:+.2f}")
        print("".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)), flush=True)
    return 0


def race(name: str, rounds: int, steps: int, epochs: int) -> tuple[Any, Any, int | None]:
    """With jit_compile=True and by "auto": the seconds of a step and of what a fit does once, one number a round; and
    how many alarms the step has, None where "auto" does not compile it."""
    import tfbp

    x, y = data("text" if name in WATCHED else name, steps * BATCH)
    models = [model(name, jit_compile=way) for way in (True, "auto")]
    of_steps: tuple[list[float], list[float]] = ([], [])
    of_fits: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        taken: list[list[float]] = [[], []]
        for length in (1, 1 + epochs):
            for each, seconds in zip(models, taken, strict=True):
                started = time.perf_counter()
                history = tfbp.fit(each, x, y, batch_size=BATCH, epochs=length, verbose=0)
                seconds.append(time.perf_counter() - started)
            if history.params["jit_compile"] is not True:
                return [], [], None
        for (short, long), one, once in zip(taken, of_steps, of_fits, strict=True):
            if turn:  # the first ones compile
                one.append((long - short) / epochs / steps)
                once.append(short - one[-1] * steps)
    return of_steps, of_fits, alarms_of(models[1])


def model(name: str, **options: Any) -> Any:
    """Returns a compiled model; always from the same weights."""
    from benchmarks.fit_race import compiled

    if name not in WATCHED:
        return compiled(name, **options)
    import keras

    keras.utils.set_random_seed(0)
    pooling = keras.layers.GlobalMaxPooling1D if name == "largest" else keras.layers.GlobalAveragePooling1D
    layers = [keras.layers.Embedding(1000, 16), pooling(), keras.layers.Dense(16, "relu"), keras.layers.Dense(10)]
    made = keras.Sequential([keras.Input((100,), dtype="int32"), *layers])

    def loss(y: Any, z: Any) -> Any:
        return keras.ops.sqrt(keras.ops.mean((z - keras.ops.one_hot(keras.ops.cast(y, "int32"), 10)) ** 2, -1))

    of_labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("adam", loss if name == "root" else of_labels, **options)
    return made


def alarms_of(model: Any) -> int:
    """Returns the number of places at which the step's program is watched."""
    from tfbp.fitting import extremes

    exempt = f"{model.optimizer.name}/"
    steps = [step for known in model._tfbp_programs._programs.values() for step in known._steps.values()]
    compiled = [step for step in steps if step.function.structured_outputs[1]]
    if not compiled:
        return 0
    found = [check for check in extremes.checks(compiled[0].graph.get_operations()) if check.low is None]
    return sum(not result.operation.name.startswith(exempt) for result in found)


if __name__ == "__main__":
    sys.exit(main())
