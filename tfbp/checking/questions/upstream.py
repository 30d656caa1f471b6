"""Two properties of every backward: an upstream gradient of zero gives zero, and it is linear in its upstream."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfbp.checking.trial import Trial, arrays
from tfbp.judging.failures import Failure, attempt

BFLOAT16 = tf.bfloat16.as_numpy_dtype
# so far from linear are gradients that go through bfloat16
ROUNDED = 2.0**-5


def examine(trial: Trial) -> None:
    """Hold the backward at zero, and at a sum of two upstream gradients, against what linearity says."""
    if trial.is_linear:
        return
    program, names = trial.program, trial.program.names
    nothing = [0 * u for u in trial.upstream]
    run = attempt(program.run, trial.values, nothing)
    if isinstance(run, Failure):
        trial.find("every argument", "", f"for an upstream gradient of zero it raises {run.sentence}", "upstream")
        return
    at_zero = arrays(run[1])
    for name, own, tolerance, zero in zip(names, trial.gradients, trial.tolerances[1], at_zero, strict=True):
        if own is None or zero is None or name in trial.refuted or not zero.any():
            continue
        same = zero.shape == own.shape and bool((np.abs(zero - own) <= tolerance).all())
        cause = "the upstream gradient is ignored" if same else "something is added that is not upstream"
        trial.refuted.add(name)
        size = float(np.abs(zero).max())
        trial.find(name, f"for an upstream gradient of zero it is {size:.3g}, where 0 is expected", cause, "upstream")
    if not trial.large:
        _linear(trial)


def _linear(trial: Trial) -> None:
    program = trial.program
    other = [trial.rng.uniform(0.5, 1.5, u.shape) * trial.rng.choice([-1.0, 1.0], u.shape) for u in trial.upstream]
    both = [2 * u - 3 * v for u, v in zip(trial.upstream, other, strict=True)]
    runs = [attempt(program.run, trial.values, upstream) for upstream in (other, both)]
    if any(isinstance(run, Failure) for run in runs):
        return
    (of_other, of_both) = (arrays(run[1]) for run in runs)
    for i, name in enumerate(program.names):
        own, tolerance = trial.gradients[i], trial.tolerances[1][i]
        if own is None or name in trial.refuted or of_other[i] is None or of_both[i] is None:
            continue
        expected = 2 * own - 3 * of_other[i]
        # another upstream gradient has other roundings, of about the same size
        rounding = 64 * (tolerance + float(np.sqrt(np.mean(tolerance**2))))
        ratio = float((np.abs(of_both[i] - expected) / rounding).max())
        # a difference of roundings is for the vote to judge, which may know what they come from
        most = ROUNDED if _is_narrow(own) else 1e-3
        if not ratio <= 1 and np.linalg.norm(of_both[i] - expected) > most * np.linalg.norm(expected):
            trial.refuted.add(name)
            place = np.unravel_index(int(np.argmax(np.abs(of_both[i] - expected) / rounding)), own.shape)
            got, right = of_both[i][place], expected[place]
            where = f"at {[int(p) for p in place]}: {got:.6g} with the upstream 2u - 3v; {right:.6g} is expected"
            trial.find(name, where, "not linear in the upstream gradient", "upstream", ratio)


def _is_narrow(gradient: np.ndarray) -> bool:
    """Whether a gradient went through a dtype of few digits."""
    with np.errstate(over="ignore"):
        return any(
            (gradient.astype(dtype).astype(gradient.dtype) == gradient).all() for dtype in (np.float16, BFLOAT16)
        )
