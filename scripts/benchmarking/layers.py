"""Time the steps of fit with tfbp's layers and with Keras's own, taking turns, after showing that both train alike.

Microseconds a step, and the ratio tfbp / keras, of the 5th percentile and of the median: what else the machine does
only ever adds time, so that the fast steps say most.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from benchmarking import placed
from tfbp import layers

UNIT = "Microseconds a step of fit, batch 128"
PERCENTILES = (5, 50)
ROOMS = {"tfbp": layers, "keras": keras.layers}
INPUTS, WIDTH, BATCH, STEPS = 256, 256, 128, 64
# an activation layer stands between two Dense layers of Keras's, for both
LAYERS = {
    "Dense": lambda room: [room.Dense(WIDTH), room.Dense(WIDTH), room.Dense(10)],
    "Dense relu": lambda room: [room.Dense(WIDTH, "relu"), room.Dense(WIDTH, "relu"), room.Dense(10)],
    "Dense gelu": lambda room: [room.Dense(WIDTH, "gelu"), room.Dense(WIDTH, "gelu"), room.Dense(10)],
    "small Dense": lambda room: [room.Dense(8, "tanh"), room.Dense(10)],
    "tanh": lambda room: between(room.Activation("tanh")),
    "ReLU": lambda room: between(room.ReLU()),
    "bounded ReLU": lambda room: between(room.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.1)),
    "LeakyReLU": lambda room: between(room.LeakyReLU()),
    "ELU": lambda room: between(room.ELU()),
    "PReLU": lambda room: between(room.PReLU()),
    "Softmax": lambda room: between(room.Softmax()),
    # those of the other activations for whose derivative TensorFlow has one operation
    **{
        name: partial(lambda name, room: between(room.Activation(name)), name)
        for name in ("sigmoid", "softsign", "selu", "relu6", "hard_sigmoid", "hard_silu")
    },
    "BatchNormalization": lambda room: between(room.BatchNormalization()),
    "LayerNormalization": lambda room: between(room.LayerNormalization()),
    "RMSNormalization": lambda room: between(room.RMSNormalization()),
    "GroupNormalization": lambda room: on_images(room.GroupNormalization(4)),
    "Dropout": lambda room: between(room.Dropout(0.5, seed=1)),
    "Conv2D": lambda room: on_images(room.Conv2D(16, 3, activation="relu")),
    "DepthwiseConv2D": lambda room: on_images(room.DepthwiseConv2D(3)),
    "MaxPooling2D": lambda room: on_images(room.MaxPooling2D()),
    "AveragePooling2D": lambda room: on_images(room.AveragePooling2D(2)),
    "GlobalMaxPooling2D": lambda room: on_images(room.GlobalMaxPooling2D()),
    "GlobalAveragePooling2D": lambda room: on_images(room.GlobalAveragePooling2D()),
}


def between(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(WIDTH), layer, keras.layers.Dense(10)]


def on_images(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """On images of 8 × 8 with 16 channels, for both."""
    made = [keras.layers.Dense(1024), keras.layers.Reshape((8, 8, 16)), layer]
    return [*made, keras.layers.Flatten(), keras.layers.Dense(10)]


def run(pairs: int, seconds: float, device: str = "cpu", names: Sequence[str] = ()) -> tuple[Table, list[dict]]:
    """The table, and its numbers; a line on stderr for each that is there, so that none is lost."""
    table = Table(box=None, pad_edge=False)
    headings = ("tfbp 5%", "median", "keras 5%", "median", "ratio 5%", "median")
    for heading in ("in fit", "mode", *headings):
        table.add_column(heading, justify="right" if heading in headings else "left")
    results = []
    for name in names or LAYERS:
        for mode, jit_compile in {"tf.function": False, "XLA": True}.items():
            times = compare(name, jit_compile, pairs, seconds, device)
            found = {room: np.percentile(times[room], PERCENTILES) for room in ROOMS}
            ratios = found["tfbp"] / found["keras"]
            cells = [*(f"{t:.0f}" for room in ROOMS for t in found[room]), *(f"{ratio:.3f}" for ratio in ratios)]
            table.add_row(name, mode, *cells)
            print(name, mode, *cells, file=sys.stderr, flush=True)
            results.append({"layer": name, "mode": mode, "microseconds": times, "tfbp / keras": ratios.tolist()})
    return table, results


def compare(name: str, jit_compile: bool, pairs: int, seconds: float, device: str = "cpu") -> dict[str, list[float]]:
    """Microseconds of every step of each."""
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
    """Microseconds of each step."""
    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: times.append(-time.perf_counter()),
        on_train_batch_end=lambda batch, logs: times.append(times.pop() + _when_done()),
    )
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=[clock])
    return [1e6 * each for each in times]
