"""The functions that are approximated: continuous on [-1, 1], and of two variables on [-1, 1]², one with jumps."""

from collections.abc import Callable, Mapping

import numpy as np

Function = Callable[..., np.ndarray]


def _sine(x):
    return np.sin(2 * np.pi * x)


def _runge(x):
    return 1 / (1 + 25 * x**2)


def _triangles(x):
    return np.abs(4 * (x - np.round(x))) - 1


def _hill(x, z):
    return np.exp(-2 * (x**2 + z**2))


def _ring(x, z):
    radius = np.hypot(x, z)
    return np.where((radius > 0.4) & (radius < 0.8), 1.0, 0.0)


CONTINUOUS: Mapping[str, Function] = {
    "sin 2πx": _sine,
    "exp x": np.exp,
    "1 / (1 + 25x²)": _runge,
    "|x|": np.abs,
    "triangles": _triangles,
}
# the second jumps
OF_TWO: Mapping[str, Function] = {"exp(-2x² - 2z²)": _hill, "ring": _ring}
