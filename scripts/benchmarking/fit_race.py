"""One model trained by tfbp.fit and by Keras in each of its ways, in turns in one process: microseconds a step."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras
import numpy as np

import tfbp
from benchmarking.fit_data import BATCH, DATA, data
from benchmarking.fit_models import MODELS

Times = dict[str, list[float]]


def race(name: str, rounds: int, steps: int) -> Times:
    """Microseconds a step of every contestant, one number a round; what is compiled on the way is not counted."""
    x, y = data(name, steps * BATCH)
    contestants = {
        "tfbp.fit": (tfbp.fit, {}),
        "tfbp.fit, graph": (tfbp.fit, {"jit_compile": False}),
        "tfbp.fit, XLA": (tfbp.fit, {"jit_compile": True}),
        "Keras": (keras.Model.fit, {}),
        "Keras, XLA": (keras.Model.fit, {"jit_compile": True}),
        "Keras, epoch": (keras.Model.fit, {"steps_per_execution": steps}),
        "Keras, epoch, XLA": (keras.Model.fit, {"steps_per_execution": steps, "jit_compile": True}),
    }
    models = {label: compiled(name, **options) for label, (_, options) in contestants.items()}
    gate(name, x[: 3 * BATCH + 5], None if y is None else y[: 3 * BATCH + 5])
    times: Times = {label: [] for label in contestants}
    for turn in range(rounds + 1):
        for label, (fit, _) in contestants.items():
            started = time.perf_counter()
            fit(models[label], x, y, batch_size=BATCH, verbose=0)
            if turn:
                times[label].append((time.perf_counter() - started) / steps * 1e6)
    return times


def compiled(name: str, **options: Any) -> Any:
    """The model, compiled; always from the same weights."""
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    losses = {"labels": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}, "inputs": {"loss": "mse"}}
    model.compile(optimizer=keras.optimizers.Adam(), **losses.get(DATA[name][1], {}), **options)
    return model


def gate(name: str, x: Any, y: Any) -> None:
    """Raise where tfbp.fit, without XLA, does not follow Keras's curve to rounding."""
    curves = []
    for fit in (tfbp.fit, keras.Model.fit):
        model = compiled(name, jit_compile=False)
        history = fit(model, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
        curves.append(history)
    for label, values in curves[1].items():
        np.testing.assert_allclose(curves[0][label], values, rtol=1e-4, err_msg=label)


if __name__ == "__main__":
    name, rounds, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(race(name, rounds, steps)))
