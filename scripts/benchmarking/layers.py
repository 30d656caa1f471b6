"""Time tfbp's layers in fit against Keras's own: interleaved in pairs, after showing that both train alike.

Microseconds a step (minimum and median) and the ratio tfbp / keras (median of the pairs).
"""

import statistics
import time

import keras
import numpy as np
from rich.table import Table

from tfbp import layers

UNIT = "Microseconds a step of fit"
ROOMS = {"tfbp": layers, "keras": keras.layers}
INPUTS, WIDTH, BATCH, STEPS = 256, 256, 128, 64
# an activation layer stands between two Dense layers of Keras's, for both
LAYERS = {
    "Dense": lambda room: [room.Dense(WIDTH), room.Dense(WIDTH), room.Dense(10)],
    "Dense with relu": lambda room: [room.Dense(WIDTH, "relu"), room.Dense(WIDTH, "relu"), room.Dense(10)],
    "Dense with gelu": lambda room: [room.Dense(WIDTH, "gelu"), room.Dense(WIDTH, "gelu"), room.Dense(10)],
    "Dense, small": lambda room: [room.Dense(8, "tanh"), room.Dense(10)],
    "Activation tanh": lambda room: between(room.Activation("tanh")),
    "ReLU": lambda room: between(room.ReLU()),
    "ReLU, bounded": lambda room: between(room.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.1)),
    "LeakyReLU": lambda room: between(room.LeakyReLU()),
    "ELU": lambda room: between(room.ELU()),
    "PReLU": lambda room: between(room.PReLU()),
    "Softmax": lambda room: between(room.Softmax()),
}


def between(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(WIDTH), layer, keras.layers.Dense(10)]


def run(pairs: int, seconds: float) -> tuple[Table, list[dict]]:
    """The table, and its numbers."""
    table = Table(box=None, pad_edge=False)
    for heading in (f"fit, batch {BATCH}", "mode", "tfbp min", "median", "keras min", "median", "tfbp / keras"):
        table.add_column(heading, justify="left" if heading.startswith(("fit", "mode")) else "right")
    results = []
    for name in LAYERS:
        for mode, jit_compile in {"tf.function": False, "XLA": True}.items():
            times, ratio = compare(name, jit_compile, pairs, seconds)
            cells = [f"{f(times[room]):.0f}" for room in ROOMS for f in (min, statistics.median)]
            table.add_row(name, mode, *cells, f"{ratio:.3f}")
            results.append({"layer": name, "mode": mode, "microseconds": times, "tfbp / keras": ratio})
    return table, results


def compare(name: str, jit_compile: bool, pairs: int, seconds: float) -> tuple[dict[str, list[float]], float]:
    """Microseconds a step in every turn of each, and the median of the pairs' ratios tfbp / keras."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, INPUTS)).astype("float32"), rng.integers(0, 10, STEPS * BATCH)
    models = {}
    for which, room in ROOMS.items():
        models[which] = keras.Sequential([keras.Input((INPUTS,)), *LAYERS[name](room)])
        models[which].set_weights(models["tfbp"].get_weights())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        models[which].compile(keras.optimizers.SGD(1e-3), loss, jit_compile=jit_compile)
    took = [fit(model, x, y, 1) for model in models.values()]
    # a benchmark of wrong numbers means nothing
    for got, expected in zip(*(model.get_weights() for model in models.values()), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)

    took = [fit(model, x, y, 1) for model in models.values()]
    epochs = max(1, round(seconds * 1e6 / (max(took) * STEPS)))
    times: dict[str, list[float]] = {which: [] for which in models}
    for pair in range(pairs):
        for which in list(models) if pair % 2 else list(reversed(models)):
            times[which].append(fit(models[which], x, y, epochs))
    return times, statistics.median(a / b for a, b in zip(times["tfbp"], times["keras"], strict=True))


def fit(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Microseconds a step."""
    started = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)
    return (time.perf_counter() - started) / (epochs * STEPS) * 1e6
