"""Times one model by tfbp.fit and by each way of Keras, in turns in one process: microseconds a step.

Two more contestants: tfbp.fit of the model with the layers of tfbp.layers; and the limit, the model's own train_step
over consecutive batches in one program without anything else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfbp
from benchmarks.fit_data import ALONE, BATCH, DATA, SWAPPED, data
from benchmarks.fit_models import MODELS

Times = dict[str, list[float]]
# microseconds: who takes so long for a turn, as XLA does for a convolution on a CPU, has one alone
LONG = 5e6
# epochs of a fit that is worth compiling
LONG_FIT = 10**6


def race(name: str, rounds: int, steps: int) -> Times:
    """Returns the microseconds a step, by contestant and round, without compilation."""
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
    if isinstance(models["tfbp.fit"], keras.Sequential | keras.src.models.functional.Functional):
        contestants[SWAPPED], models[SWAPPED] = (tfbp.fit, {}), compiled(name, by_hand=True)
    turns: dict[str, Callable[[], Any]] = {
        label: partial(fit, models[label], x, y, batch_size=BATCH, verbose=0) for label, (fit, _) in contestants.items()
    }
    for label in (SWAPPED, "tfbp.fit"):  # as in a long fit: what is compiled for it is used by the short ones
        if label in models:
            history = turns[label](epochs=LONG_FIT, callbacks=[OneEpoch()])
    gate(name, x[: 3 * BATCH + 5], None if y is None else y[: 3 * BATCH + 5])
    jit_compile = history.params["jit_compile"]
    turns[ALONE] = train_step_alone(compiled(name, jit_compile=jit_compile), x, y, steps)
    times: Times = {SWAPPED: [], **{label: [] for label in turns}}
    for turn in range(rounds + 1):
        for label, run in turns.items():
            if times[label] and min(times[label]) * steps > LONG:
                continue
            started = time.perf_counter()
            run()
            if turn:
                times[label].append((time.perf_counter() - started) / steps * 1e6)
    return times


def train_step_alone(model: Any, x: Any, y: Any, steps: int) -> Callable[[], Any]:
    """Returns a function that runs an epoch of train_step, compiled like the model: without fit's own work."""
    data = x if y is None else (x, y)
    model.fit(x[:BATCH], None if y is None else y[:BATCH], batch_size=BATCH, verbose=0)  # makes its variables
    tensors = tf.nest.map_structure(tf.constant, data)

    def rows(array: Any, first: Any) -> Any:
        return tf.slice(array, [first, *[0] * (array.shape.rank - 1)], [BATCH, *array.shape[1:]])

    @tf.function(jit_compile=model.jit_compile, autograph=False)
    def epoch() -> Any:
        def step(index: Any) -> tuple[Any]:
            batch = tf.nest.map_structure(lambda tensor: rows(tensor, index * BATCH), tensors)
            model.train_step(batch)
            return (index + 1,)

        return tf.while_loop(lambda index: index < steps, step, (tf.constant(0),), parallel_iterations=1)[0]

    return lambda: epoch().numpy()


class OneEpoch(keras.callbacks.Callback):
    """Ends a fit after its first epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = True


def compiled(name: str, by_hand: bool = False, seed: int | None = 0, **options: Any) -> Any:
    """Returns the compiled model, from the seed's weights if there is one; `by_hand` with the layers of tfbp.layers."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = MODELS[name]()
    if by_hand:
        model = tfbp.layers.swap(model)
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
