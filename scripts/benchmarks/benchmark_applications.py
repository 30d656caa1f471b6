#!/usr/bin/env python3
"""Time a training step of models of keras.applications: by tfbp.Model, by hand, and by tfbp.fit of the Keras model.

Images of 32×32, batches of 32, SGD, data in memory, the same weights. First the losses of two steps must be alike. The
contestants take turns. The exit status is 0, or 2 for bad input.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from tfbp.console import options
from tfbp.errors import check_count

MODELS = ("MobileNet", "ResNet50")
WAYS = ("manual", "manual-xla", "tape", "tfbp.fit")
BATCH = 32


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--ways", default="manual,tfbp.fit", help=f"of {', '.join(WAYS)} (default: manual,tfbp.fit)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--steps", type=int, default=8, help="steps of a turn (default: 8)")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, MODELS)
    ways = options.choices("ways", arguments.ways, WAYS)
    check_count("rounds", arguments.rounds)
    check_count("steps", arguments.steps)
    from benchmarks import report

    for name in names:
        times = race(name, ways, arguments.rounds, arguments.steps)
        for way, found in times.items():
            share = statistics.median(a / b for a, b in zip(found, times[[*times][-1]], strict=True))
            print(f"{name:10} {way:14} {min(found):8.1f} ms a step, {share:.2f} of the last")
    print(report.machine_line())
    return 0


def race(name: str, ways: list[str], rounds: int, steps: int) -> dict[str, list[float]]:
    """Returns the milliseconds a step, by contestant and round, without compilation."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(steps * BATCH, 32, 32, 3)).astype("float32"), rng.integers(0, 10, steps * BATCH)
    turns = {way: contestant(name, way, x, y) for way in ways}
    few = {way: turn(2 * BATCH) for way, turn in turns.items()}
    for way, loss in few.items():
        np.testing.assert_allclose(loss, few[ways[-1]], rtol=1e-2, err_msg=way)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, turn in turns.items():
            started = time.perf_counter()
            turn(len(x))
            # the first turn compiles
            if number:
                times[way].append((time.perf_counter() - started) / steps * 1e3)
    return times


def contestant(name: str, way: str, x: Any, y: Any) -> Callable[[int], float]:
    """Returns a function that trains one epoch on the first rows, and returns its loss."""
    import keras

    import tfbp

    keras.utils.set_random_seed(0)
    shape = {"input_shape": (32, 32, 3), "weights": None, "classes": 10}
    model = getattr(keras.applications, name)(**shape)
    loss, optimizer = "sparse_categorical_crossentropy", keras.optimizers.SGD(0.001)
    if way == "tfbp.fit":
        model.compile(optimizer, loss)
        fit: Any = lambda *given, **named: tfbp.fit(model, *given, **named)  # noqa: E731
    else:
        ours = tfbp.Model.from_keras(model, loss, gradients=way.removesuffix("-xla"))
        ours.compile(optimizer, jit_compile=way.endswith("-xla"))
        fit = ours.fit

    def turn(rows: int) -> float:
        return fit(x[:rows], y[:rows], batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history["loss"][-1]

    return turn


if __name__ == "__main__":
    sys.exit(main())
