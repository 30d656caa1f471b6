"""Every activation and loss at points that random numbers miss: on kinks, beyond bounds, and far out.

On a kink z is exact, so that no rounding of z excuses the other side's derivative: a tolerance has the roundings of the
formula alone. Far out, a formula without cancellation keeps the digits of y, however small y is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement import clues
from tfbp.agreement.problems import numpy_dtype, round_to
from tfbp.agreement.programs import Cell, Named, Result, SuiteCase, Topic, run_trials
from tfbp.agreement.tolerances import formulas
from tfbp.judging.tolerances import Units, elementwise_tolerance
from tfbp.vocabulary import ACTIVATIONS, LOSSES, Activation, Loss

Array = np.ndarray
Pair = tuple[Array, Array]
# the points where the derivative jumps, and points around them: exact in every dtype
KINKS: dict[str, tuple[Activation, tuple[float, ...]]] = {
    "relu": (Activation("relu"), (0,)),
    "relu max 6": (Activation("relu", {"max_value": 6.0}), (0, 6)),
    "relu slope": (Activation("relu", {"negative_slope": 0.125}), (0,)),
    "relu bounded": (Activation("relu", {"negative_slope": 0.125, "max_value": 1.0, "threshold": 0.25}), (0.25, 1)),
    "relu6": (Activation("relu6"), (0, 6)),
    "leaky_relu": (Activation("leaky_relu"), (0,)),
    "elu": (Activation("elu"), (0,)),
    "elu 0.5": (Activation("elu", {"alpha": 0.5}), (0,)),
    "celu": (Activation("celu"), (0,)),
    "selu": (Activation("selu"), (0,)),
    "hard_sigmoid": (Activation("hard_sigmoid"), (-3, 3)),
    "hard_silu": (Activation("hard_silu"), (-3, 3)),
    "hard_tanh": (Activation("hard_tanh"), (-1, 1)),
    "hard_shrink": (Activation("hard_shrink"), (-0.5, 0.5)),
    "soft_shrink": (Activation("soft_shrink"), (-0.5, 0.5)),
    "sparse_plus": (Activation("sparse_plus"), (-1, 1)),
    "sparse_sigmoid": (Activation("sparse_sigmoid"), (-1, 1)),
    "threshold": (Activation("threshold", {"threshold": 0.25, "default_value": -0.5}), (0.25,)),
}
_AROUND = (-12.0, -6.5, -4.0, -0.125, 0.125, 2.0, 4.0, 6.5, 12.0)
FAR = (-1e4, -200.0, -30.0, -9.0, -5.0, 5.0, 9.0, 30.0, 200.0, 1e4)
# manual computes their y without a difference of larger numbers: relative digits, on the named sides
KEEPS_DIGITS = {"gelu", "softplus", "log_sigmoid", "exponential"}
LOGITS = np.array([[1e4, -1e4, 0.0, 3.0], [-1e4, 1e4, -1e4, 2.0], [1e4, 1e4, -1e4, 0.5], [-30.0, 12.0, 0.0, 60.0]])


def run_points(dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Compares every activation and loss at its kinks and far out, by manual and tape, in one dtype and mode."""
    cell = Cell(Topic("points"), dtype, mode, device, tf32)
    results = []
    for writing in ("manual", "tape"):
        for scope, trials in (("kinks", _at_kinks(writing, dtype)), ("far out", _far_out(writing, dtype))):
            results += run_trials(list(trials), scope, cell)
    return results


def _at_kinks(writing: str, dtype: str) -> Iterator[SuiteCase]:
    units = Units.of(dtype, writing)
    for name, (activation, points) in KINKS.items():
        z = np.array([[*points, *_AROUND], [*reversed(_AROUND), *points]])
        dy = round_to(np.random.default_rng(1).normal(size=z.shape), dtype)
        y, _ = reference.activations.activation_forward(activation, z)
        dz = reference.activations.activation_backward(activation, dy, z)
        limits = {
            "y": 8 * units.out * (1 + np.abs(z) + np.abs(y)),
            "dz": 8 * units.out * (np.abs(dy) + np.abs(dz)),
        }
        yield _activation_trial(writing, f"{name} on its kinks", activation, dtype, (z, dy), (y, dz), limits)
    for loss, outputs, targets in (
        (Loss("mean_absolute_error"), [[1.0, 2.0, -1.0], [0.5, 3.0, 4.0]], [[1.0, 0.5, -1.0], [2.0, 3.0, 1.0]]),
        (Loss("huber", {"delta": 0.5}), [[1.0, 2.0, -1.0, 0.25]], [[0.5, 2.5, -1.0, 2.0]]),
    ):
        yield _loss_trial(writing, f"{loss.name} on its kinks", loss, dtype, np.array(outputs), np.array(targets))


def _far_out(writing: str, dtype: str) -> Iterator[SuiteCase]:
    units = Units.of(dtype, writing)
    choices = {name: Activation(name) for name in ACTIVATIONS if name != "threshold"}
    choices["gelu approximate"] = Activation("gelu", {"approximate": True})
    for name, activation in choices.items():
        z = np.array([FAR, FAR[::-1]])
        if activation.name == "exponential":
            z = np.clip(z, -200, 9)
        if activation.name == "squareplus" or name == "gelu approximate":
            z = np.clip(z, -30, 30)  # float16 cannot hold its z² or z³ beyond
        z = round_to(z, dtype)
        dy = round_to(np.random.default_rng(2).normal(size=z.shape), dtype)
        y, _ = reference.activations.activation_forward(activation, z)
        dz = reference.activations.activation_backward(activation, dy, z)
        limits = {
            "y": formulas.activation_forward_error(activation, z, units),
            "dz": formulas.activation_backward_error(activation, dy, z, units),
        }
        if writing == "manual" and name in KEEPS_DIGITS:
            tight = elementwise_tolerance(
                lambda at, activation=activation: reference.activations.activation_forward(activation, at)[0],
                z,
                0.0,
                units.out,
                units.underflow,
            )
            limits["y"] = np.minimum(limits["y"], tight)
        yield _activation_trial(writing, f"{name} far out", activation, dtype, (z, dy), (y, dz), limits)
    for loss_name in (name for name in LOSSES if "crossentropy" in name):
        classes = np.array([1, 1, 0, 3])
        targets = classes if loss_name.startswith("sparse") else np.eye(4)[classes]
        yield _loss_trial(writing, f"{loss_name} far out", Loss(loss_name), dtype, LOGITS, targets)


def _activation_trial(
    writing: str, name: str, activation: Activation, dtype: str, at: Pair, expected: Pair, limits: Named
) -> SuiteCase:
    (z, dy), (y, dz) = at, expected

    def run(fed: Named) -> Named:
        if writing == "manual":
            y, residuals = manual.activations.activation_forward(activation, fed["z"])
            return {"y": y, "dz": manual.activations.activation_backward(activation, fed["dy"], residuals)}
        with tf.GradientTape() as record:
            record.watch(fed["z"])
            y = tape.activations.activation_forward(activation, fed["z"])
        return {"y": y, "dz": record.gradient(y, fed["z"], fed["dy"], unconnected_gradients="zero")}

    typed = {"z": z.astype(numpy_dtype(dtype)), "dy": dy.astype(numpy_dtype(dtype))}
    hints = {
        "y": lambda: clues.activation_forward(activation, z),
        "dz": lambda: clues.activation_backward(activation, dy, z),
    }
    return SuiteCase(Topic(name), name, writing, run, typed, {"y": y, "dz": dz}, limits, clues=hints)


def _loss_trial(writing: str, name: str, loss: Loss, dtype: str, outputs: Array, y: Array) -> SuiteCase:
    wide = "float64" if dtype == "float64" else "float32"
    units = Units.of(wide, writing)
    dlosses = round_to(np.random.default_rng(3).normal(size=len(outputs)), wide)

    def run(fed: Named) -> Named:
        if writing == "manual":
            losses, residuals = manual.losses.loss_forward(loss, fed["y"], fed["outputs"])
            return {"losses": losses, "doutputs": manual.losses.loss_backward(loss, fed["dlosses"], residuals)}
        with tf.GradientTape() as record:
            record.watch(fed["outputs"])
            losses = tape.losses.loss_forward(loss, fed["y"], fed["outputs"])
        return {"losses": losses, "doutputs": record.gradient(losses, fed["outputs"], fed["dlosses"])}

    losses, residuals = reference.losses.loss_forward(loss, y, outputs)
    doutputs = reference.losses.loss_backward(loss, dlosses, residuals)
    limits: dict[str, Any] = {"losses": formulas.loss_forward_error(loss, y, outputs, units.loss)}
    if "crossentropy" in loss.name:
        limits["doutputs"] = formulas.loss_backward_error(loss, dlosses, y, outputs, units.loss)
    else:  # exact numbers: a sum, a product and a quotient of each
        limits["doutputs"] = 8 * units.loss * np.abs(dlosses)[:, None] * np.ones(outputs.shape)
    fed = {"outputs": outputs.astype(wide), "dlosses": dlosses.astype(wide), "y": y}
    if y.dtype.kind != "i":
        fed["y"] = y.astype(wide)
    expected = {"losses": losses, "doutputs": doutputs}
    hints = {
        "losses": lambda: clues.loss_forward(loss, y, outputs),
        "doutputs": lambda: clues.loss_backward(loss, dlosses, y, outputs),
    }
    return SuiteCase(Topic(name), name, writing, run, fed, expected, limits, dict.fromkeys(expected, wide), hints)
