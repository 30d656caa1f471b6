"""The gradient of the gradient against differences of the gradient, and forward mode against reverse mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.slopes import slope
from tfbp.checking.subject import Program
from tfbp.checking.trial import Trial
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF


def examine(trial: Trial, oracle: Program | None) -> None:
    """Judge the second derivative of every gradient that is right itself, and the JVP of every input."""
    program = trial.program
    for i, name in enumerate(program.names):
        if name in trial.refuted or trial.gradients[i] is None:
            continue
        _gradient_of_gradient(trial, i, name)
        if i < len(trial.subject.differentiable):
            _forward_mode(trial, i, name)


def _gradient_of_gradient(trial: Trial, index: int, name: str) -> None:
    program, place = trial.program, trial.program.where[index]
    weights = trial.rng.uniform(0.5, 1.5, trial.values[place].shape)
    direction = trial.direction(place)

    def first(values: Any) -> np.ndarray:
        gradient = program.run(values, trial.upstream)[1][index]
        return (weights * as_float64(gradient)).ravel()

    def along(step: float) -> np.ndarray:
        return first([v + step * direction if j == place else v for j, v in enumerate(trial.values)])

    found = slope(along, unit=UNIT_ROUNDOFF[program.dtype])
    second = attempt(_second, trial, index, weights)
    if isinstance(second, Failure):
        trial.find(name, "", f"its gradient's gradient raises {second.sentence}", "second order")
        return
    got = 0.0 if second is None else float(np.vdot(as_float64(second), direction))
    rounding = 1e-9 * (abs(found.value) + float(np.linalg.norm(along(0.0))))
    off = found.off(got, rounding)
    if off > 1:
        cause = "the gradient of its gradient is wrong" if second is not None else "its gradient has no gradient"
        trial.find(
            name, f"along a direction {got:.6g}, where {found.value:.6g} is expected", cause, "second order", off
        )


def _second(trial: Trial, index: int, weights: np.ndarray) -> Any:
    program = trial.program
    program.restore()
    tensors = program.tensors(trial.values)
    upstream = program.upstream(trial.upstream)
    inputs = len(trial.subject.values)
    place = program.where[index]
    source = tensors[place] if place < inputs else program.variables[place - inputs]
    with tf.GradientTape() as tape:
        tape.watch(source)
        gradient = program.backward(tensors, upstream)[1][index]
        weighted = tf.reduce_sum(gradient * tf.constant(weights, gradient.dtype))
    found = tape.gradient(weighted, source)
    program.restore()
    return None if found is None else tf.convert_to_tensor(found)


def _forward_mode(trial: Trial, index: int, name: str) -> None:
    program, place = trial.program, trial.program.where[index]
    direction = trial.direction(place)

    def jvp() -> float:
        program.restore()
        tensors = program.tensors(trial.values)
        tangent = tf.constant(direction, tensors[place].dtype)
        with tf.autodiff.ForwardAccumulator(tensors[place], tangent) as accumulator:
            outputs = program.forward(*tensors)
        tangents = accumulator.jvp(outputs, unconnected_gradients="zero")
        return sum(float(np.sum(u * as_float64(t))) for u, t in zip(trial.upstream, tangents, strict=True))

    found = attempt(jvp)
    if isinstance(found, Failure):
        trial.notes.append(f"{name}: forward mode raises {found.sentence}")
        return
    by_gradient = float(np.vdot(trial.gradients[index], direction))
    rounding = 16 * float(np.sum(trial.tolerances[1][index] * np.abs(direction))) + 1e-12 * abs(by_gradient)
    if not abs(found - by_gradient) <= rounding:
        where = f"along a direction {found:.6g}, by the gradient {by_gradient:.6g}"
        trial.find(
            name, where, "forward mode and reverse mode disagree", "second order", abs(found - by_gradient) / rounding
        )
