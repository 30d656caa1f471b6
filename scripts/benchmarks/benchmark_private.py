"""Private training beside plain training of the same model by tfbp.fit, and beside Opacus, step by step.

    python scripts/benchmarks/benchmark_private.py [--models mlp,cnn] [--opacus-python PYTHON] [--rounds 3]

Each contestant runs in a process of its own, one after the other, in rounds; the median of a step's time over the
rounds counts, and the largest memory of the process. PYTHON is one that has torch and opacus 1.6.0. All train with
SGD on the same shapes, a batch of 256 (Poisson: expected), clip 1, noise 1, and print no metrics.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tfbp.console.options import Parser

BATCH, STEPS = 256, 40
MODELS = ("mlp", "cnn", "lstm", "encoder", "embedding")
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--opacus-python", help="a Python with torch and opacus 1.6.0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measured(*arguments.worker)))
        return
    commands = {kind: [sys.executable, __file__, "--worker", kind] for kind in ("plain", "private")}
    if arguments.opacus_python:
        worker = str(HERE / "contestants" / "torch_opacus.py")
        commands |= {f"opacus-{mode}": [arguments.opacus_python, worker, mode] for mode in ("hooks", "ghost")}
    print("model      contestant     ms a step  of plain   peak MB")
    for model in arguments.models.split(","):
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in commands}
        for _ in range(arguments.rounds):
            for kind, command in commands.items():
                run = subprocess.run([*command, model], capture_output=True, text=True, check=False)
                if run.returncode == 0:
                    found[kind].append(json.loads(run.stdout.splitlines()[-1]))
        plain = statistics.median(each["ms"] for each in found["plain"])
        for kind, runs in found.items():
            if not runs:
                print(f"{model:<10} {kind:<14} cannot run it")
                continue
            step = statistics.median(each["ms"] for each in runs)
            peak = max(each["peak_mb"] for each in runs)
            print(f"{model:<10} {kind:<14} {step:9.2f}  {step / plain:8.2f}  {peak:8.0f}", flush=True)


def measured(kind: str, name: str) -> dict[str, float]:
    """The milliseconds of a step after a first epoch that compiles, and the process's peak of memory."""
    import tfbp

    model, x, y = made(name)
    options: dict[str, Any] = {}
    if kind == "private":
        options["privacy"] = tfbp.Privacy(
            noise_multiplier=1.0, delta=1e-6, clip=1.0, accountant="rdp", exact_logs=False
        )
    seconds = []

    class Watch:
        begun = 0.0

    def begin(epoch: int, logs: Any) -> None:
        Watch.begun = time.perf_counter()

    def end(epoch: int, logs: Any) -> None:
        seconds.append(time.perf_counter() - Watch.begun)

    import keras

    watch = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)
    tfbp.fit(model, x, y, batch_size=BATCH, epochs=4, callbacks=[watch], verbose=0, **options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": 1000 * statistics.median(seconds[1:]) / STEPS, "peak_mb": peak}


def made(name: str) -> Any:
    """A compiled model, x and y, of STEPS batches."""
    import keras
    import numpy as np

    rows, rng, layers = STEPS * BATCH, np.random.default_rng(0), keras.layers
    keras.utils.set_random_seed(0)
    labels = rng.integers(0, 10, rows)
    if name == "mlp":
        x = rng.normal(size=(rows, 784)).astype("float32")
        inner = [keras.Input((784,)), layers.Dense(256, "relu"), layers.Dense(128, "relu")]
    elif name == "cnn":
        x = rng.normal(size=(rows, 28, 28, 1)).astype("float32")
        inner = [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 8, strides=2, padding="same", activation="tanh"),
            layers.MaxPooling2D(2, 1),
            layers.Conv2D(32, 4, strides=2, activation="tanh"),
            layers.MaxPooling2D(2, 1),
            layers.Flatten(),
            layers.Dense(32, "tanh"),
        ]
    elif name == "lstm":
        x = rng.normal(size=(rows, 32, 16)).astype("float32")
        inner = [keras.Input((32, 16)), layers.LSTM(64)]
    elif name == "embedding":
        x = rng.integers(0, 65536, (rows, 32))
        inner = [
            keras.Input((32,), dtype="int32"),
            layers.Embedding(65536, 16),
            layers.GlobalAveragePooling1D(),
            layers.Dense(64, "relu"),
        ]
    else:
        x = rng.normal(size=(rows, 32, 64)).astype("float32")
        given = keras.Input((32, 64))
        y = layers.LayerNormalization()(given + layers.MultiHeadAttention(4, 16)(given, given))
        y = layers.LayerNormalization()(y + layers.Dense(64)(layers.Dense(128, "gelu")(y)))
        model = keras.Model(given, layers.Dense(10)(layers.GlobalAveragePooling1D()(y)))
        inner = []
    if inner:
        model = keras.Sequential([*inner, layers.Dense(10)])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, labels


if __name__ == "__main__":
    main()
