"""Time loss_and_gradients by manual and by tape: interleaved in pairs, after showing that both give the same numbers.

Microseconds a call (minimum and median) and the ratio manual / tape (median of the pairs).
"""

import statistics
import time

import numpy as np
import tensorflow as tf
from rich.table import Table

from benchmarks import placed
from tfbp import Dense, Network, manual, tape

UNIT = "Microseconds a call, relu"
SIZES = {"784-128-10": [784, 128, 10], "784-512-512-10": [784, 512, 512, 10]}
BATCH = 128
WRITINGS = {"manual": manual, "tape": tape}


def run(pairs: int, seconds: float, device: str = "cpu") -> tuple[Table, list[dict]]:
    """Returns the table, and its numbers."""
    table = Table(box=None, pad_edge=False)
    for heading in ("batch 128", "mode", "manual min", "median", "tape min", "median", "manual / tape"):
        table.add_column(heading, justify="left" if heading in ("batch 128", "mode") else "right")
    results = []
    for name, widths in SIZES.items():
        for mode, jit_compile in {"tf.function": False, "XLA": True}.items():
            with tf.device(f"/{device.upper()}:0"):
                times, ratio = compare(widths, jit_compile, pairs, seconds, device)
            cells = [f"{f(times[writing]):.0f}" for writing in WRITINGS for f in (min, statistics.median)]
            table.add_row(name, mode, *cells, f"{ratio:.3f}")
            results.append({"size": name, "mode": mode, "microseconds": times, "manual / tape": ratio})
    return table, results


def compare(
    widths: list[int], jit_compile: bool, pairs: int, seconds: float, device: str = "cpu"
) -> tuple[dict[str, list[float]], float]:
    """Returns the microseconds a call, by writing and run, and the median of the pairs' ratios manual / tape."""
    layers = [*(Dense(units, "relu") for units in widths[1:-1]), Dense(widths[-1])]
    network = Network(widths[0], layers, "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    parameters = tf.nest.map_structure(lambda w: tf.Variable(w, dtype=tf.float32), network.init(seed=0))
    x = tf.constant(rng.normal(size=(BATCH, widths[0])), tf.float32)
    y = tf.constant(rng.integers(0, widths[-1], BATCH))
    calls = {
        writing: tf.function(
            lambda x, y, module=module: module.loss_and_gradients(network, parameters, x, y), jit_compile=jit_compile
        )
        for writing, module in WRITINGS.items()
    }
    # a benchmark of wrong numbers means nothing, nor one of another device
    found = {writing: tf.nest.flatten(call(x, y)) for writing, call in calls.items()}
    for writing, tensors in found.items():
        placed.check(writing, tensors, device)
    for got, expected in zip(*found.values(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())

    repeats = max(1, int(seconds / time_calls(calls["tape"], x, y, 20) * 1e6))
    times: dict[str, list[float]] = {writing: [] for writing in WRITINGS}
    for pair in range(pairs):
        order = list(WRITINGS) if pair % 2 else list(reversed(WRITINGS))
        for writing in order:
            times[writing].append(time_calls(calls[writing], x, y, repeats))
    ratios = [m / t for m, t in zip(times["manual"], times["tape"], strict=True)]
    return times, statistics.median(ratios)


def time_calls(call: object, x: tf.Tensor, y: tf.Tensor, repeats: int) -> float:
    """Returns the microseconds a call."""
    started = time.perf_counter()
    for _ in range(repeats):
        loss, _ = call(x, y)
    loss.numpy()
    tf.test.experimental.sync_devices()
    return (time.perf_counter() - started) / repeats * 1e6
