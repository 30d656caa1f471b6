"""A function's twins, an oracle and a reference in NumPy, and whether their forward values are the function's.

Where they are not, a comparison of gradients would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.subject import Program, Values
from tfbp.checking.trial import Trial, arrays
from tfbp.errors import InputError
from tfbp.judging.comparison import Comparison, compare
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF


class Reference:
    """A NumPy float64 twin: its outputs, and Σ upstream · output at other values."""

    def __init__(self, trial: Trial, function: Callable[..., Any]) -> None:
        self.trial, self.function = trial, function
        outputs = attempt(self.outputs, trial.values)
        if isinstance(outputs, Failure):
            raise InputError(f"reference: got {outputs.sentence}; accepted: a NumPy function of the same inputs.")
        _check_shapes("reference", [o.shape for o in outputs], trial)
        self.forward = outputs

    def outputs(self, values: Values) -> list[np.ndarray]:
        subject = self.trial.subject
        packed = tf.nest.pack_sequence_as(subject.arguments, values[: len(subject.values)])
        found = [np.asarray(output) for output in tf.nest.flatten(self.function(*packed))]
        return [output.astype(np.float64) for output in found if output.dtype.kind == "f"]

    def at(self, values: Values) -> np.ndarray:
        pairs = zip(self.trial.upstream, self.outputs(values), strict=True)
        return np.concatenate([(u * o).ravel() for u, o in pairs])


def forward(trial: Trial, oracle: Program | None, reference: Reference | None, own: bool, words: str) -> None:
    """Compare the forward values, and name the outlier. `own`: the oracle is the function's own body."""
    tolerances, unit = trial.tolerances[0], UNIT_ROUNDOFF[trial.program.dtype]
    given: dict[str, list[Any]] = {"function": trial.outputs}
    if oracle is not None and not own:
        run = attempt(oracle.run, trial.values, trial.upstream)
        if isinstance(run, Failure):
            raise InputError(f"oracle: got {run.sentence}; accepted: a twin of the function, of the same inputs.")
        given["oracle"] = arrays(run[0])
    if reference is not None:
        given["reference"] = reference.forward
    for k, tolerance in enumerate(tolerances):
        name = "output" if len(tolerances) == 1 else f"output {k}"
        others = {who: outputs[k] for who, outputs in given.items()}

        def apart(a: str, b: str, others: Any = others, tolerance: Any = tolerance, name: str = name) -> Comparison:
            rounding = 4 * tolerance + 64 * unit * np.abs(others[b]) + 64 * unit * np.sqrt(np.mean(others[b] ** 2))
            return compare(name, others[a], others[b], rounding)

        wrong = {(a, b): apart(a, b) for a in others for b in others if a < b}
        wrong = {pair: found for pair, found in wrong.items() if not found.agrees}
        if not wrong:
            continue
        pairs = list(wrong)
        outliers = [who for who in others if all(who in pair for pair in pairs)] if len(pairs) > 1 else []
        worst = max(wrong.values(), key=lambda c: c.ratio)
        if len(outliers) == 1 and len(others) == 3:
            cause = f"the forward value of the {outliers[0]} differs from those of the two others"
        else:
            cause = f"the forward values of {' and '.join(pairs[0])} differ: they are not the same function"
        trial.find(name, worst.extent, f"{cause}{words}", "forward", worst.ratio)


def _check_shapes(who: str, shapes: list[tuple[int, ...]], trial: Trial) -> None:
    expected = [o.shape for o in trial.outputs]
    if [tuple(s) for s in shapes] != expected:
        given, accepted = (", ".join(map(str, some_shapes)) or "none" for some_shapes in (shapes, expected))
        raise InputError(f"{who}: got outputs of shape {given}; accepted: the function's, {accepted}.")


def check_oracle(trial: Trial, oracle: Program) -> None:
    """Raise `InputError` unless the oracle has the function's outputs."""
    _check_shapes("oracle", oracle.shapes, trial)
