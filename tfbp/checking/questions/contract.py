"""The contract of a gradient, before its numbers: how many, of which shape and dtype, and None only for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.checking.trial import Trial, arrays
from tfbp.errors import InputError
from tfbp.judging.arrays import as_float64
from tfbp.judging.diagnosis import diagnose
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF


def examine(trial: Trial, oracle: bool) -> bool:
    """Run the backward once, and put its outputs and gradients into the trial; whether there are gradients to judge."""
    program = trial.program
    run = trial.first or attempt(program.run, trial.values, trial.upstream)
    trial.first = None
    if isinstance(run, Failure):
        forward = attempt(trial.at, trial.values)
        if isinstance(forward, Failure):
            raise InputError(f"function: got {forward.sentence}; accepted: a function that runs on these inputs.")
        trial.find("every argument", "", _of_failure(run), "contract")
        return False
    outputs, gradients = run
    trial.outputs = arrays(outputs)
    trial.unit = max(trial.unit, *(UNIT_ROUNDOFF.get(output.dtype.name, 0.0) for output in outputs))
    if not np.isfinite(np.concatenate([output.ravel() for output in trial.outputs])).all():
        raise InputError("function: got a NaN or an infinity as its output; accepted: inputs where it is finite.")
    trial.gradients = [_of_contract(trial, i, g) for i, g in enumerate(gradients)]
    if all(gradient is None for gradient in gradients) and not oracle:
        names = ", ".join(program.names)
        raise InputError(
            f"function: got no gradient with respect to {names}; accepted: a function that is differentiable in one of "
            "its inputs at least."
        )
    return True


def missing(trial: Trial, index: int, right: np.ndarray | None, slope: float, error: float) -> None:
    """Judge a gradient that is None: right only where the gradient is zero."""
    name = trial.program.names[index]
    if (right is not None and right.any()) or abs(slope) > error:
        trial.refuted.add(name)
        hint = ""
        if index < len(trial.subject.differentiable):
            is_mask = bool(np.isin(trial.values[trial.program.where[index]], (0, 1)).all())
            hint = "a mask is handed over as Booleans, and " if is_mask else ""
            hint += f"data is named: constants=[{name!r}]"
        trial.find(name, hint, "None, where a gradient is expected", "none")
    else:
        trial.notes.append(f"the gradient of {name} is None: the function does not depend on it")


def _of_contract(trial: Trial, index: int, gradient: Any) -> np.ndarray | None:
    """The gradient's numbers, or None after a finding."""
    if gradient is None:
        return None
    program, name = trial.program, trial.program.names[index]
    value = trial.values[program.where[index]]
    got = as_float64(gradient)
    expected = program.dtype
    if index >= len(program.subject.differentiable):
        expected = program.variables[index - len(program.subject.differentiable)].dtype.name
    if gradient.dtype.name != expected:
        trial.find(name, "", f"dtype {gradient.dtype.name}, where {expected} is expected", "contract")
    elif got.shape != value.shape or not np.isfinite(got).all():
        cause, extent = diagnose(got, value)
        trial.find(name, extent, cause, "contract")
    else:
        return got
    trial.refuted.add(name)
    return None


def _of_failure(failure: Failure) -> str:
    """The exception of a backward, TensorFlow's words for the contract of tf.custom_gradient put plainly."""
    text = failure.sentence
    if "custom_gradient function expected to return" in text or "unexpected number of gradients" in text.lower():
        return f"a wrong number of gradients: {text}"
    if "variables" in text and "keyword" in text:
        return f"a closed-over variable has no gradient, because the gradient function takes no `variables`: {text}"
    return f"the backward raises {text}"
