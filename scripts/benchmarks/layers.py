"""Time the steps of fit with tfbp's layers and with Keras's own, in turns. First both must train to the same weights.

Microseconds a step, and the ratio tfbp / keras, of the 5th percentile and of the median: other work of the machine
only adds time, so the fast steps count most.
"""

import sys
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from benchmarks import placed
from benchmarks.layer_cases import LAYERS
from tfbp import layers

UNIT = "Microseconds a step of fit, batch 128"
PERCENTILES = (5, 50)
ROOMS = {"tfbp": layers, "keras": keras.layers}
INPUTS, BATCH, STEPS = 256, 128, 64


def run(pairs: int, seconds: float, device: str = "cpu", names: Sequence[str] = ()) -> tuple[Table, list[dict]]:
    """Returns the table and its numbers; prints a line on stderr for each finished row, so that none is lost."""
    table = Table(box=None, pad_edge=False)
    headings = ("tfbp 5%", "median", "keras 5%", "median", "ratio 5%", "median")
    for heading in ("in fit", "mode", *headings):
        table.add_column(heading, justify="right" if heading in headings else "left")
    results = []
    for name in names or LAYERS:
        for mode, jit_compile in {"tf.function": False, "XLA": True}.items():
            times = compare(name, jit_compile, pairs, seconds, device)
            quantiles = {room: np.percentile(times[room], PERCENTILES) for room in ROOMS}
            ratios = quantiles["tfbp"] / quantiles["keras"]
            cells = [*(f"{t:.0f}" for room in ROOMS for t in quantiles[room]), *(f"{ratio:.3f}" for ratio in ratios)]
            table.add_row(name, mode, *cells)
            print(name, mode, *cells, file=sys.stderr, flush=True)
            results.append({"layer": name, "mode": mode, "microseconds": times, "tfbp / keras": ratios.tolist()})
    return table, results


def compare(name: str, jit_compile: bool, pairs: int, seconds: float, device: str = "cpu") -> dict[str, list[float]]:
    """Returns the microseconds of every step, by contestant."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, INPUTS)).astype("float32"), rng.integers(0, 10, STEPS * BATCH)
    models = {}
    for which, room in ROOMS.items():
        models[which] = keras.Sequential([keras.Input((INPUTS,)), *LAYERS[name](room)])
        models[which].set_weights(models["tfbp"].get_weights())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        models[which].compile(keras.optimizers.SGD(1e-3), loss, jit_compile=jit_compile)
    for which, model in models.items():
        fit(model, x, y, 1)
        placed.check(which, [w.value for w in model.trainable_variables], device)
    # a benchmark of wrong numbers means nothing
    for got, expected in zip(*(model.get_weights() for model in models.values()), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)

    epochs = max(1, round(seconds * 1e6 / sum(fit(models["keras"], x, y, 1))))
    times: dict[str, list[float]] = {which: [] for which in models}
    for pair in range(pairs):
        for which in list(models) if pair % 2 else list(reversed(models)):
            times[which] += fit(models[which], x, y, epochs)
    return times


def _when_done() -> float:
    tf.test.experimental.sync_devices()
    return time.perf_counter()


def fit(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> list[float]:
    """Returns the microseconds of each step."""
    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: times.append(-time.perf_counter()),
        on_train_batch_end=lambda batch, logs: times.append(times.pop() + _when_done()),
    )
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=[clock])
    return [1e6 * seconds for seconds in times]
