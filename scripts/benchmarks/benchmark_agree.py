#!/usr/bin/env python3
"""Time `tfbp.agree` on MobileNet, 32 x 32 pixels and a batch of 3, beside epochs of ten steps in Keras.

Each runs once in this process, Keras's own fit first, compiled as it is by default: its first epoch traces and compiles
the step, as `agree` does with its programs. The last column is the process's largest memory so far. The exit status is
0 if the model agrees, 1 otherwise, 2 for bad input.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from tfbp.console import options

BATCH, STEPS, SIZE = 3, 10, 32
ROW = "{:<44}{:>9}{:>9}{:>10}"


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--dtype", default="float32", help="comma-separated (default: float32)")
    parser.add_argument("--mode", default="eager,xla", help="of eager, graph and xla (default: eager,xla)")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    import keras
    import numpy as np

    from tfbp.agreement.of_models.api import DTYPES, MODES, agree

    dtypes = options.choices("dtype", arguments.dtype, DTYPES)
    modes = options.choices("mode", arguments.mode, MODES)
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(weights=None, input_shape=(SIZE, SIZE, 3), classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, SIZE, SIZE, 3)), rng.integers(0, 10, STEPS * BATCH)
    print(ROW.format("", "seconds", "ratio", "MiB"))
    first, _ = _timed(lambda: model.fit(x, y, batch_size=BATCH, verbose=0))
    _print("Keras, the first epoch of ten steps", first, first)
    later, _ = _timed(lambda: model.fit(x, y, batch_size=BATCH, verbose=0))
    _print("Keras, a later one", later, first)
    seconds, report = _timed(lambda: agree(model, x[:BATCH], y[:BATCH], dtypes=dtypes, modes=modes))
    _print(f"tfbp.agree, {' '.join(dtypes)}, {' '.join(modes)}", seconds, first)
    print(str(report).splitlines()[0])
    return 0 if report.agrees else 1


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    made = run()
    return time.perf_counter() - begun, made


def _print(name: str, seconds: float, first: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(ROW.format(name, f"{seconds:.2f}", f"{seconds / first:.1f}", f"{peak:.0f}"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
