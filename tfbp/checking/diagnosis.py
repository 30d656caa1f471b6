"""What kind of mistake a wrong gradient looks like: said in words that point at the line to look at."""

from __future__ import annotations

import numpy as np


def diagnose(got: np.ndarray, expected: np.ndarray) -> str:
    """Name the likeliest mistake behind `got` where `expected` is right.

    Example:
        >>> diagnose(np.ones((2, 2)), np.ones((1, 2)))
        'shape (2, 2), where (1, 2) is expected: a row and a column were multiplied elementwise, which broadcasts'
        >>> diagnose(np.array([[2.0, 4.0]]), np.array([[1.0, 2.0]]))
        'every element is 2 times too large: a constant factor is wrong'
    """
    if got.shape != expected.shape:
        return f"shape {got.shape}, where {expected.shape} is expected{_shape_mistake(got, expected)}"
    if not np.isfinite(got).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(got))[0])
        return f"{got[where]} at {list(where)}"
    if not got.any():
        return "all zero"
    if _close(got, -expected):
        return "the sign is flipped"
    if got.ndim == 2 and got.shape[0] == got.shape[1] and _close(got, expected.T):
        return "transposed"
    factor = float(np.vdot(got, expected) / np.vdot(expected, expected)) if expected.any() else 0.0
    if factor and _close(got, factor * expected):
        size = f"{factor:.6g} times too large" if abs(factor) > 1 else f"{1 / factor:.6g} times too small"
        return f"every element is {size}: a constant factor is wrong"
    if got.ndim == 2 and got.shape[0] > 1 and _close(got, np.broadcast_to(got[:1], got.shape)):
        return "every row is the same: one row was broadcast over all"
    if got.ndim == 2 and got.shape[1] > 1 and _close(got, np.broadcast_to(got[:, :1], got.shape)):
        return "every column is the same: one column was broadcast over all"
    where = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(got - expected)), got.shape))
    return f"values differ, most at {list(where)}: {got[where]:.6g}, where {expected[where]:.6g} is expected"


def _shape_mistake(got: np.ndarray, expected: np.ndarray) -> str:
    if got.shape == expected.shape[::-1]:
        return ": transposed"
    row_and_column = got.ndim == expected.ndim == 2 and 1 in expected.shape
    if row_and_column and got.shape == (max(expected.shape),) * 2:
        return ": a row and a column were multiplied elementwise, which broadcasts"
    try:
        fits = np.broadcast_shapes(got.shape, expected.shape) == expected.shape
    except ValueError:
        return ""
    if not fits:
        return ""
    what = "row" if got.ndim < 2 or got.shape[0] < expected.shape[0] else "column"
    return f": one {what} that a sum with the weights broadcasts over all"


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a - b) <= 1e-3 * np.linalg.norm(b))
