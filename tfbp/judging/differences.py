"""Computes the gradient of a scalar function without the chain rule: central differences, and the complex step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.differentiate import derivative

from tfbp.judging.tolerances import UNIT_ROUNDOFF


def central_differences(function: Callable[[np.ndarray], Any], at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gradient of a scalar function, and an estimate of its error, both of the shape of `at`.

    Central differences of order 8 at shrinking steps, until their distance no longer shrinks.

    Example:
        >>> gradient, error = central_differences(lambda x: np.sin(x).sum(), np.array([0.0, 1.0]))
        >>> bool((np.abs(gradient - np.cos([0.0, 1.0])) <= error).all()), bool((error < 1e-10).all())
        (True, True)

    Reference: scipy.differentiate.derivative
    """
    step, factor = 0.03, 2.0

    def shifted(shift: float, index: int) -> float:
        point = at.astype(np.float64)
        point.flat[index] += shift
        return float(function(point))

    indices = np.arange(at.size)
    estimate = derivative(
        np.vectorize(shifted, otypes=[float]), np.zeros(at.size), args=(indices,), initial_step=step, step_factor=factor
    )
    smallest_step = step / factor ** (estimate.nit - 1)
    rounding = 4 * UNIT_ROUNDOFF["float64"] * (1 + abs(function(at))) / smallest_step
    return estimate.df.reshape(at.shape), (8 * (estimate.error + rounding)).reshape(at.shape)


def complex_step(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
    """Returns the gradient of an analytic scalar function, to rounding: Im f(x + ih) / h, where nothing cancels.

    Example:
        >>> gradient = complex_step(lambda x: np.sin(x).sum(), np.array([0.0, 1.0]))
        >>> bool(np.abs(gradient - np.cos([0.0, 1.0])).max() < 1e-16)
        True

    Reference: Squire and Trapp (1998), https://doi.org/10.1137/S003614459631241X
    """
    step = 1e-150
    gradient = np.empty(at.shape)
    for index in range(at.size):
        point = at.astype(np.complex128)
        point.flat[index] += 1j * step
        gradient.flat[index] = np.imag(function(point)) / step
    return gradient
