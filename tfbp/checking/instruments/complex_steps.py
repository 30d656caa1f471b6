"""The slope of a function that takes complex numbers: the imaginary part after a tiny imaginary step.

    φ(v + i h d) = φ(v) + i h φ'(v) d - …,   so that Im φ(v + i h d) / h is the slope: nothing is subtracted

However fast φ swings, it is right where the larger steps of differences see another slope. But only of a function
that is analytic: |z|² takes complex numbers, and has another slope there. So one difference, of a step so small that
nothing swings in it, has to give the same in its few digits.

Reference: Squire and Trapp (1998), https://doi.org/10.1137/S003614459631241X
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.slopes import Slope, typical
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF

TINY, SMALL = 1e-100, 2.0**-30
# of its terms: how far the difference may be off, and what a complex step is good to
AGREES, ERROR = 1e-3, 1e-10


def slope(trial: Any, directions: dict[int, np.ndarray], along: Callable[[float], np.ndarray]) -> Slope | None:
    """The slope of Σ upstream · output; None where the function takes no complex numbers, or is another one there."""
    program = trial.program
    if not trial.takes_complex or program.seeded:
        return None
    floats = [v.dtype.kind == "f" for v in trial.values]
    values = [v + 1j * TINY * directions.get(i, 0.0) if floats[i] else v for i, v in enumerate(trial.values)]
    program.restore()
    outputs = attempt(program.call, [tf.constant(v) for v in values])
    program.restore()
    if isinstance(outputs, Failure) or any(output.dtype != tf.complex128 for output in outputs):
        trial.takes_complex = False
        return None
    if [tuple(output.shape) for output in outputs] != program.shapes:
        return None
    pairs = zip(trial.upstream, outputs, strict=True)
    terms = np.concatenate([(u * pair.numpy().imag / TINY).ravel() for u, pair in pairs])
    up, down = along(SMALL), along(-SMALL)
    moved = up != down
    sizes = float(np.linalg.norm((np.abs(up) + np.abs(down))[moved if moved.any() else ...]))
    rounding = 16 * UNIT_ROUNDOFF["float64"] * sizes / SMALL
    value, size = float(terms.sum()), float(np.abs(terms).sum())
    if not abs(float((up - down).sum()) / (2 * SMALL) - value) <= AGREES * size + rounding:
        return None
    trial.is_analytic |= rounding < AGREES * size
    if not trial.is_analytic:  # a difference that is all rounding has not shown it
        return None
    # as good as a difference by a step as large as the numbers: what a function adds to 1 may be lost in both
    reach = max((float(np.abs(d).max()) / typical(trial.values[i]) for i, d in directions.items()), default=1.0)
    error = ERROR * size + 2 * UNIT_ROUNDOFF["float64"] * sizes * min(reach, 1.0)
    return Slope(value, error, value, value, evaluations=3)
