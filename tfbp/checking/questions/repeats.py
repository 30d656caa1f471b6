"""Whether a function gives the same twice: its random numbers replayed, what accumulates from call to call found."""

from __future__ import annotations

import numpy as np

from tfbp.checking.trial import Trial, arrays
from tfbp.errors import InputError
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF


def examine(trial: Trial) -> bool:
    """Run it three times, twice if it is large and nothing is amiss; whether it can be judged."""
    if trial.large and _repeats_and_is_linear(trial):
        return True
    if changed := [] if trial.large else trial.program.changed():
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        trial.notes.append(f"each call changes {', '.join(changed[:3])}{more}: put back before every run")
    runs = _runs(trial)
    if runs is None:
        return True  # it raises, which is the contract's to say
    if _spread(runs, 0) > 0:
        trial.program.seeded = True
        trial.noise.traced = False
        runs = _runs(trial)
        if runs is None:
            return True
        trial.notes.append("its outputs are random: seeds are replayed before every run")
    spread = _spread(runs, 0)
    if spread > 64 * UNIT_ROUNDOFF[trial.program.dtype]:
        raise InputError(
            f"function: got outputs that do not repeat from run to run, by {spread:.1e} of their size, seeds replayed; "
            "accepted: a function that gives the same twice."
        )
    for i, name in enumerate(trial.program.names):
        given = [run[1][i] for run in runs]
        if any(g is None or g.shape != given[0].shape for g in given if given[0] is not None) or given[0] is None:
            continue
        first, second, third = given[0], given[1], given[-1]
        # a NaN that comes each time is the same number: the check of the contract reports it
        if np.array_equal(first, second, equal_nan=True) and np.array_equal(second, third, equal_nan=True):
            continue
        finite = np.isfinite(first)
        size = float(np.abs(first[finite]).max(initial=0.0)) or 1.0
        if np.array_equal(finite, np.isfinite(second)) and (
            np.abs(second - first)[finite].max(initial=0.0) <= 64 * UNIT_ROUNDOFF[trial.program.dtype] * size
        ):
            continue
        steady = np.allclose(third - second, second - first, rtol=1e-6, atol=1e-12 * size)
        cause = "accumulates from call to call" if steady else "another at every call, while the outputs repeat"
        trial.refuted.add(name)
        where = f"{first.flat[0]:.6g}, {second.flat[0]:.6g} and {third.flat[0]:.6g} at its first element in three calls"
        trial.find(name, where, cause, "state")
    return not trial.refuted


def _repeats_and_is_linear(trial: Trial) -> bool:
    """Two questions in one run: for -2 times the upstream gradient, is every gradient -2 times what it was, exactly?"""
    runs = [
        attempt(trial.program.run, trial.values, upstream)
        for upstream in (trial.upstream, [-2 * u for u in trial.upstream])
    ]
    if any(isinstance(run, Failure) for run in runs):
        return False
    trial.first = runs[0]
    (outputs, gradients), (again, scaled) = ([arrays(part) for part in run] for run in runs)
    expected = [*outputs, *(None if g is None else -2 * g for g in gradients)]
    # None is equal to None alone
    trial.is_linear = all(np.array_equal(a, b) for a, b in zip([*again, *scaled], expected, strict=True))
    return trial.is_linear


def _runs(trial: Trial) -> list | None:
    runs = [attempt(trial.program.run, trial.values, trial.upstream) for _ in range(3)]
    if any(isinstance(run, Failure) for run in runs):
        return None
    trial.first = runs[0]
    return [(arrays(outputs), arrays(gradients)) for outputs, gradients in runs]


def _spread(runs: list, part: int) -> float:
    """The largest difference between runs, relative to the size."""
    first, spread = runs[0][part], 0.0
    for other in runs[1:]:
        for a, b in zip(first, other[part], strict=True):
            if a.shape != b.shape:
                return np.inf
            size = float(np.abs(a).max(initial=0.0)) or 1.0
            spread = max(spread, float(np.abs(a - b).max(initial=0.0)) / size)
    return spread
