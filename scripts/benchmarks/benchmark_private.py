"""Time private training, plain training of the same model by tfbp.fit, and Opacus 1.6.0.

    python scripts/benchmarks/benchmark_private.py [--models mlp,cnn] [--opacus-python PYTHON] [--rounds 7]

Each contestant has its own process. All processes of a model start; then they take turns, an epoch of 40 steps each.
The result is the median of the rounds, and the peak memory of a process less the memory after its imports, those of
the accountant included. PYTHON is a Python with torch and opacus 1.6.0.

Each contestant first shows that it is right, tfbp in another process: from the same weights, one step without noise
must equal the clipped sum of one tape for each example (in Opacus, of one backward pass for each example). For Opacus
the fastest right mode counts; one of more than half a second a step is not timed. Its batches are drawn without a
DataLoader, which would take most of the time.

The models train with SGD, those with `-adam` with Adam; clip 1, noise 1, a batch of 256 (Poisson sampling: expected).
Without metrics. Plain training of 65,536 rows of embeddings by SGD touches those of a batch alone; noise goes to all.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tfbp.console.options import Parser

BATCH, STEPS, GATE, CLIP = 256, 40, 12, 1.0
MODELS = ("mlp", "cnn", "lstm", "encoder", "embedding-adam", "embedding")
MODES = ("hooks", "functorch", "ghost")
# private over plain
BOUNDS = {"mlp": 1.3, "cnn": 1.6, "lstm": 1.6, "encoder": 1.6, "embedding": 1.3, "embedding-adam": 1.3}
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--opacus-python", help="a Python with torch and opacus 1.6.0")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", help="a file for the figures")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    for model in arguments.models.split(","):
        if model not in MODELS:
            parser.error(f"--models: got {model!r}; accepted: {', '.join(MODELS)}.")
    commands = {kind: [sys.executable, __file__, "--worker", kind] for kind in ("plain", "private")}
    if arguments.opacus_python:
        worker = str(HERE / "contestants" / "torch_opacus.py")
        commands |= {f"opacus-{mode}": [arguments.opacus_python, worker, mode] for mode in MODES}
    results = {}
    print("model            contestant          ms a step   of plain  bound   MB above imports", flush=True)
    for model in arguments.models.split(","):
        results[model] = raced(model, commands, arguments.rounds)
        show(model, results[model])
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))


def raced(model: str, commands: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    """Returns each contestant's milliseconds a step and megabytes; or the reason why it does not take part."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    results: dict[str, Any] = {}
    workers = {}
    for kind, command in commands.items():
        worker = subprocess.Popen([*command, model], **pipes)
        # one after the other: a first epoch compiles
        begun = json.loads(worker.stdout.readline() or '{"wrong": "it ended"}')
        if "wrong" in begun:
            results[kind] = begun
            worker.kill()
            closed(worker)
        else:
            workers[kind] = worker
    seconds: dict[str, list[float]] = {kind: [] for kind in workers}
    for _ in range(rounds):
        for kind, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            seconds[kind].append(float(worker.stdout.readline()))
            # a pool of threads goes on waiting for work for a while
            time.sleep(0.25)
    for kind, worker in workers.items():
        worker.stdin.close()
        peak = float(worker.stdout.readline())
        closed(worker)
        steps = [1000 * duration / STEPS for duration in seconds[kind]]
        results[kind] = {"ms": statistics.median(steps), "least": min(steps), "most": max(steps), "mb": peak}
    return results


def closed(worker: subprocess.Popen[str]) -> None:
    """Waits for the end of a process, and closes its pipes."""
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()
    worker.wait()


def show(model: str, found: dict[str, Any]) -> None:
    plain = found.get("plain", {}).get("ms")
    for kind, entry in found.items():
        if "wrong" in entry:
            print(f"{model:<16} {kind:<18} is not timed: {entry['wrong'][:120]}")
            continue
        share = f"{entry['ms'] / plain:8.2f}" if plain else " " * 8
        bound = f"{BOUNDS[model]:5.1f}" if kind == "private" else " " * 5
        spread = f"({entry['least']:.2f} to {entry['most']:.2f})"
        print(f"{model:<16} {kind:<18} {entry['ms']:8.2f}  {share}  {bound}  {entry['mb']:8.0f}   {spread}", flush=True)


def work(kind: str, name: str) -> None:
    """Checks, trains an epoch, and one more for each line of input; prints the seconds, and at the end megabytes."""
    if kind == "check":
        print(wrong_by(name))
        return
    error = 0.0
    if kind == "private":
        command = [sys.executable, __file__, "--worker", "check", name]
        checked = subprocess.run(command, capture_output=True, text=True)
        error = float(checked.stdout.split()[-1]) if checked.returncode == 0 else math.inf
        if not error < 1e-4:
            last = (checked.stderr.strip().splitlines() or [""])[-1]
            reason = last if checked.returncode else f"the clipped sum is wrong by {error:.2g} of its size"
            print(json.dumps({"wrong": reason}), flush=True)
            return
    import keras
    from dp_accounting import pld, rdp  # noqa: F401

    import tfbp

    before = _peak()
    model, x, y = made(name)
    options: dict[str, Any] = {}
    if kind == "private":
        options["privacy"] = tfbp.Privacy(
            noise_multiplier=1.0, delta=1e-6, clip=CLIP, accountant="rdp", exact_logs=False
        )

    class Turns(keras.callbacks.Callback):
        begun = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch > 0:
                if epoch == 1:
                    print(json.dumps({"wrong_by": error}), flush=True)
                if not sys.stdin.readline():
                    print(_peak() - before, flush=True)
                    sys.exit()
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch > 0:
                print(time.perf_counter() - self.begun, flush=True)

    tfbp.fit(model, x, y, batch_size=BATCH, epochs=10_000, callbacks=[Turns()], verbose=0, **options)


def wrong_by(name: str) -> float:
    """Returns the relative difference of a private step with almost no noise to one tape for each of GATE examples."""
    import keras
    import numpy as np
    import tensorflow as tf

    import tfbp

    model, x, y = made(name)
    # the weights move by the gradient itself
    model.compile(keras.optimizers.SGD(1.0), model.loss)
    x, y = x[:GATE], y[:GATE]
    gradients = []
    for row in range(GATE):
        with tf.GradientTape() as tape:
            loss = model.loss(y[row : row + 1], model(x[row : row + 1], training=True))
        found = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        gradients.append([tf.convert_to_tensor(gradient).numpy().astype(np.float64) for gradient in found])
    norms = np.array([np.sqrt(sum(np.sum(gradient**2) for gradient in of_one)) for of_one in gradients])
    clip = float(np.median(norms))
    factors = np.minimum(1, clip / norms)
    before = model.get_weights()
    privacy = tfbp.Privacy(noise_multiplier=1e-9, delta=1e-6, clip=clip, accountant="rdp", exact_logs=False, seed=1)
    tfbp.fit(model, x, y, batch_size=GATE, verbose=0, privacy=privacy)
    moved = [a.astype(np.float64) - b for a, b in zip(before, model.get_weights(), strict=True)]
    right = [
        np.tensordot(factors, np.stack(of_variable), axes=1) / GATE for of_variable in zip(*gradients, strict=True)
    ]
    size = np.sqrt(sum(np.sum(each**2) for each in right))
    return float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(moved, right, strict=True))) / size)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def made(name: str) -> Any:
    """Returns a compiled model, x and y, of STEPS batches."""
    import keras
    import numpy as np

    rows, rng, layers = STEPS * BATCH, np.random.default_rng(0), keras.layers
    keras.utils.set_random_seed(0)
    labels = rng.integers(0, 10, rows)
    name, _, optimizer = name.partition("-")
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
    rule = keras.optimizers.Adam(1e-3) if optimizer == "adam" else keras.optimizers.SGD(0.1)
    model.compile(rule, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, labels


if __name__ == "__main__":
    main()
