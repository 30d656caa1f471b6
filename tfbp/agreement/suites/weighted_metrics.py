"""Compares the logs of `tfbp.Model` in training, loss and metrics with sample weights, with NumPy.

B rows of a batch, N rows in all.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfbp import reference
from tfbp.agreement.programs import Cell, Result, Topic
from tfbp.judging.comparison import compare
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt
from tfbp.network import Dense, Network
from tfbp.training import Model

SCOPE = "metrics"
_N, _B = 10, 4  # the last batch is not full


def run_weighted_metrics(dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Loss, a metric and a weighted metric, of fit (with a step of size 0) and evaluate.

    It runs in float64 alone, because Keras keeps metrics in float32, and narrower layers do not change them."""
    if dtype != "float64" or device != "cpu":
        return []
    network = Network(3, [Dense(4, "tanh"), Dense(2)], "half_squared_error")
    rng = np.random.default_rng(5)
    x, y, weight = rng.normal(size=(_N, 3)), rng.normal(size=(_N, 2)), rng.uniform(0.5, 2, _N)
    model = Model(network, dtype="float64")
    model.compile(
        keras.optimizers.SGD(0.0),
        metrics=[keras.metrics.MeanSquaredError(name="plain")],
        weighted_metrics=[keras.metrics.MeanSquaredError(name="weighted")],
        run_eagerly=mode == "eager",
        jit_compile=mode == "xla",
    )
    arguments: dict[str, Any] = {"sample_weight": weight, "batch_size": _B, "verbose": 0}
    got = {
        "fit": attempt(lambda: {k: v[0] for k, v in model.fit(x, y, shuffle=False, **arguments).history.items()}),
        "evaluate": attempt(lambda: model.evaluate(x, y, return_dict=True, **arguments)),
    }
    weights = iter(model.get_weights())
    parameters = [{name: next(weights) for name in shapes} for shapes in network.parameter_shapes()]
    outputs = reference.forward(network, parameters, x)
    errors = ((outputs - y) ** 2).mean(axis=1)
    expected = {
        "loss": (weight * errors).mean(),  # half of a squared error of two outputs is their mean
        "plain": errors.mean(),
        "weighted": (weight * errors).sum() / weight.sum(),
    }
    clues = Clues(
        {
            "sample weights are ignored": np.array(errors.mean()),
            "sample weights enter where they must not": np.array(expected["weighted"]),
            "divided by N instead of the sum of the weights": np.array(expected["loss"]),
        }
    )
    cell = Cell(Topic("metrics"), dtype, mode, device, tf32)
    results = []
    for name, metrics in got.items():
        for metric, value in expected.items():
            found: Any = metrics if isinstance(metrics, Failure) else metrics.get(metric)
            number = np.float64(found) if isinstance(found, float | np.floating) else found
            # Keras sums metrics in float32: a few roundings for each batch
            comparison = compare(f"{name} {metric}", number, value, 16 * 2.0**-24 * value, clues=lambda: clues)
            results.append(Result(cell, "Model-reference", SCOPE, comparison))
    return results
