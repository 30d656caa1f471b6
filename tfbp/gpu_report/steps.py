"""Times a training step of one contestant at one size and precision, after a check of its losses.

relu, sparse softmax cross-entropy, plain SGD, shuffled batches, no metrics. N samples, B batch, I inputs, O outputs.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module, util
from typing import Any

import numpy as np

from tfbp import reference
from tfbp.gpu_report.plan import CONTESTANTS
from tfbp.gpu_report.sizes import Size
from tfbp.gpu_report.worker import Misplaced, Unavailable

RATE = 0.1
# the relative tolerance of an epoch's mean loss, three epochs of ten steps from the same weights
TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2}
GATE_ROWS, GATE_STEPS, GATE_EPOCHS = 128, 10, 3


@dataclass
class StepTask:
    """A size with its data: x (N, I) float32, y (N,) labels; a kernel (I, O) and a bias (O,) for each layer."""

    size: Size
    x: np.ndarray
    y: np.ndarray
    parameters: list[tuple[np.ndarray, np.ndarray]]
    rate: float = RATE

    @classmethod
    def make(cls, size: Size) -> StepTask:
        rng, rows = np.random.default_rng(0), size.batch * size.steps
        parameters = [
            (np.float32((2 / i) ** 0.5) * rng.standard_normal((i, o), np.float32), np.zeros(o, np.float32))
            for i, o in zip(size.widths, size.widths[1:], strict=False)
        ]
        x = rng.standard_normal((rows, size.widths[0]), np.float32)
        return cls(size, x, rng.integers(0, size.widths[-1], rows, np.int32), parameters)


# a contestant is timed at one size in one precision after another, on the same data
_problem = lru_cache(maxsize=1)(StepTask.make)


def measure(point: dict[str, Any], device: str) -> dict[str, Any]:
    """Returns microseconds per step, one number a round, and the seconds of the first epoch, mostly compilation.

    Raises:
        Unavailable: the contestant is not installed, or cannot take part here. Misplaced: it is on another device.
        ArithmeticError: its losses differ from the reference's.
    """
    name, precision = point["contestant"], point["precision"]
    size = Size(tuple(point["widths"]), point["batch"], point["steps"], point["title"])
    make = contestant(name)
    check(name, size.widths, precision, device)
    problem = _problem(size)
    started = time.perf_counter()
    timed = make(problem, precision, device)
    timed.train(1, shuffle=True)
    first = time.perf_counter() - started
    if timed.device != device:
        raise Misplaced(f"{name} trains on {timed.device!r}, not on {device!r}")
    # a second epoch warms up the compiled program, and measures one epoch's time
    epochs = max(1, math.ceil(point["seconds"] / timed.train(1, shuffle=True)))
    seconds = [timed.train(epochs, shuffle=True) for _ in range(point["rounds"])]
    microseconds = [duration / (epochs * size.steps) * 1e6 for duration in seconds]
    return {
        "microseconds": microseconds,
        "median": statistics.median(microseconds),
        "min": min(microseconds),
        "first_epoch_seconds": first,
        "steps_a_round": epochs * size.steps,
        "device": timed.device,
        "version": timed.version,
    }


def contestant(name: str) -> Any:
    """Returns the contestant's class.

    Raises:
        Unavailable: a package that it needs is not installed.
    """
    package = {"jax": "jax", "torch": "torch"}.get(name)
    if package and util.find_spec(package) is None:
        raise Unavailable(f"{package} is not installed")
    module, _, kind = CONTESTANTS[name][1].partition(".")
    return getattr(import_module(f"tfbp.gpu_report.contestants.{module}"), kind)


@cache
def check(name: str, widths: tuple[int, ...], precision: str, device: str) -> None:
    """Raises `ArithmeticError` unless the contestant follows the reference's curve, with a small batch."""
    problem = StepTask.make(Size(widths, GATE_ROWS, GATE_STEPS))
    tried = contestant(name)(problem, precision, device)
    for epoch, right in enumerate(_curve(problem)):
        tried.train(1, shuffle=False)
        if not abs(tried.loss - right) <= TOLERANCES[precision] * abs(right):
            raise ArithmeticError(f"its loss in epoch {epoch} is {tried.loss:.7g}; the reference's is {right:.7g}")


def _curve(problem: StepTask) -> list[float]:
    """Returns the mean loss of each epoch, in float64."""
    network, batch = problem.size.network, problem.size.batch
    parameters = [{"kernel": k.astype(np.float64), "bias": b.astype(np.float64)} for k, b in problem.parameters]
    means = []
    for _ in range(GATE_EPOCHS):
        losses = []
        for start in range(0, len(problem.x), batch):
            rows = slice(start, start + batch)
            x, y = problem.x[rows].astype(np.float64), problem.y[rows]
            loss, gradients = reference.loss_and_gradients(network, parameters, x, y)
            losses.append(float(loss))
            parameters = [
                {key: w - problem.rate * dlayer[key] for key, w in layer.items()}
                for layer, dlayer in zip(parameters, gradients, strict=True)
            ]
        means.append(statistics.fmean(losses))
    return means
