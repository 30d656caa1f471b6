"""Time recurrent layers, their value and all gradients, by tfbp's layers, Keras's own and PyTorch.

float32, every step's output; first all must compute the same numbers. They take turns in one process.
"""

import importlib.util
import statistics
import sys
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from benchmarks.layer_race import MODES, Call, by_keras, in_turns
from tfbp import layers

UNIT = "Milliseconds of the value and all gradients"
TASK = "return_sequences, float32"
LAYERS = ("LSTM", "GRU")


@dataclass(frozen=True)
class RecurrencePoint:
    """Sequences of so many steps and inputs, so many of them at once, and the layer's units."""

    batch: int
    steps: int
    inputs: int
    units: int

    def __str__(self) -> str:
        return f"{self.batch}, {self.steps}, {self.inputs}, {self.units}"


# as either grows, and the smallest and the largest
AXES = {
    "steps": [RecurrencePoint(32, steps, 64, 256) for steps in (10, 50, 200, 400)],
    "units": [RecurrencePoint(64, 100, 32, units) for units in (16, 64, 128, 512)],
}
POINTS = (*AXES["steps"], *AXES["units"], RecurrencePoint(32, 10, 16, 16), RecurrencePoint(32, 400, 64, 512))


def run(pairs: int, seconds: float, device: str = "cpu") -> tuple[Table, list[dict]]:
    """Returns the table and its numbers; prints a line on stderr for each finished row."""
    names = ["tfbp", "keras", *(["torch"] if importlib.util.find_spec("torch") else [])]
    numbers = (*(f"{name} ms" for name in names), *(f"tfbp / {name}" for name in names[1:]), "median")
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "batch, steps, inputs, units", "mode", *numbers):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    results = []
    for kind in LAYERS:
        for point in POINTS:
            for mode in MODES:
                times = compare(names, kind, point, mode, pairs, seconds)
                ratios = [ours / theirs for ours, theirs in zip(times["tfbp"], times["keras"], strict=True)]
                least = {name: min(times[name]) for name in names}
                cells = [f"{least[name]:.2f}" for name in names]
                cells += [f"{least['tfbp'] / least[name]:.2f}" for name in names[1:]]
                cells += [f"{statistics.median(ratios):.2f}"]
                table.add_row(kind, str(point), mode, *cells)
                print(kind, point, mode, *cells, file=sys.stderr, flush=True)
                results.append({"layer": kind, **vars(point), "mode": mode, "milliseconds": times})
    return table, results


def compare(
    names: list[str], kind: str, point: RecurrencePoint, mode: str, pairs: int, seconds: float
) -> dict[str, list[float]]:
    """Returns the milliseconds of a call, by contestant and round."""
    parameters, x, dy = problem(kind, point)
    calls = {name: contestant(name, kind, mode, parameters, x, dy) for name in names}
    expected = calls["keras"]()
    for name, call in calls.items():
        for got, value in zip(call(), expected, strict=True):
            np.testing.assert_allclose(got, value, rtol=0, atol=1e-4 * np.abs(value).max(), err_msg=name)
    return in_turns(calls, pairs, seconds)


def problem(kind: str, point: RecurrencePoint) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Returns weights in Keras's order and layout, x and dy."""
    rng, gates = np.random.default_rng(0), {"LSTM": 4, "GRU": 3}[kind]
    bias = (gates * point.units,) if kind == "LSTM" else (2, gates * point.units)
    shapes = [(point.inputs, gates * point.units), (point.units, gates * point.units), bias]
    weights = [rng.normal(size=shape, scale=point.units**-0.5) for shape in shapes]
    x = rng.normal(size=(point.batch, point.steps, point.inputs))
    dy = rng.normal(size=(point.batch, point.steps, point.units))
    arrays = [weight.astype("float32") for weight in (*weights, x, dy)]
    return arrays[:-2], arrays[-2], arrays[-1]


def contestant(name: str, kind: str, mode: str, parameters: list[np.ndarray], x: Any, dy: Any) -> Call:
    """Returns y, dx and the weights' gradients, in Keras's order."""
    if name == "torch":
        return by_torch(kind, parameters, x, dy)
    layer = getattr({"tfbp": layers, "keras": keras.layers}[name], kind)(dy.shape[-1], return_sequences=True)
    x, dy = tf.constant(x), tf.constant(dy)
    layer.build(x.shape)
    layer.set_weights(parameters)
    return by_keras(layer, layer, x, dy, MODES[mode])


def by_torch(kind: str, parameters: list[np.ndarray], x: Any, dy: Any) -> Call:
    """Returns the same by PyTorch: its gates have another order, and its weights are transposed."""
    import torch

    units, order = dy.shape[-1], {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2)}[kind]

    def ordered(a: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(a, len(order), axis=-1)[gate] for gate in order], axis=-1)

    layer = getattr(torch.nn, kind)(x.shape[-1], units, batch_first=True)
    kernel, recurrent_kernel, bias = map(ordered, parameters)
    rows = bias if kind == "GRU" else (bias, np.zeros_like(bias))
    for own, given in zip(layer.parameters(), (kernel.T, recurrent_kernel.T, *rows), strict=True):
        own.data = torch.tensor(np.ascontiguousarray(given))
    x, dy = torch.tensor(x, requires_grad=True), torch.tensor(dy)

    def step() -> list[np.ndarray]:
        y, _ = layer(x)
        dx, dkernel, drecurrent_kernel, *dbias = torch.autograd.grad(y, [x, *layer.parameters()], dy)
        found = [ordered(gradient.numpy().T) for gradient in (dkernel, drecurrent_kernel)]
        dbias = [ordered(part.numpy()) for part in dbias]
        return [y.detach().numpy(), dx.numpy(), *found, dbias[0] if kind == "LSTM" else np.stack(dbias)]

    return step
