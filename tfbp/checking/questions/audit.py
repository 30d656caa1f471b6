"""Whether a test point can show anything: what would hide a mistake is named, graded, and mended on request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfbp.checking.subject import Values

GRADES = ("good", "weak", "blind")
Complaint = tuple[int, str]


def of_inputs(names: Sequence[str], values: Sequence[np.ndarray]) -> list[Complaint]:
    """Properties of the inputs that hide mistakes, each with how much it hides: 1 weak, 2 blind.

    Example:
        >>> of_inputs(["kernel"], [np.eye(3)])
        [(2, 'kernel is symmetric: a transposed gradient would not show')]
        >>> of_inputs(["x"], [np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])])
        []
    """
    found = [
        (grade, f"{name} {words}") for name, value in zip(names, values, strict=True) for grade, words in _of(value)
    ]
    first = next((v for v in values if v.ndim >= 2), None)
    if first is not None and first.shape[0] == 1:
        found.append(
            (1, f"{names[[v is first for v in values].index(True)]} is a batch of 1: sum and mean are the same")
        )
    return found


def _of(value: np.ndarray) -> list[Complaint]:
    number = value.dtype.kind == "f"
    if value.size == 1:
        return [(1, "has one element: no axis, and no order, can show")] if number and value.ndim else []
    if number and not value.any():
        return [(2, "is all zero: what it multiplies would not show")]
    if np.ptp(value.astype(np.float64)) == 0:
        return [(2 if number else 1, f"is {value.flat[0]:g} everywhere: a factor of it, or a place, would not show")]
    complaints: list[Complaint] = []
    if number and (np.abs(value) == 1).all():
        complaints.append((2, "is ±1 everywhere: a power of it would not show"))
    if value.ndim == 2 and value.shape[0] == value.shape[1]:
        if number and np.array_equal(value, value.T):
            complaints.append((2, "is symmetric: a transposed gradient would not show"))
        elif number:
            complaints.append(
                (1, f"is square, {value.shape[0]} by {value.shape[1]}: axes that are mixed up have the right shape")
            )
    if number and value.ndim >= 2 and value.shape[0] > 1 and (value == value[:1]).all():
        complaints.append((2, "has identical rows: a mean over rows, or one row for all, would not show"))
    return complaints


def of_gradients(names: Sequence[str], gradients: Sequence[np.ndarray | None]) -> list[Complaint]:
    """Mistakes that the right gradients at the point cannot show."""
    complaints = []
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            continue
        if not gradient.any():
            complaints.append((2, f"the gradient of {name} is zero everywhere: it shows nothing"))
        elif gradient.ndim == 2 and min(gradient.shape) > 1:
            dead = int((~gradient.any(axis=0)).sum())
            if dead and gradient.shape[1] > dead:
                complaints.append(
                    (1, f"{dead} of {gradient.shape[1]} columns of the gradient of {name} are zero: dead units")
                )
            elif np.count_nonzero(gradient) < 0.2 * gradient.size and dead == 0:
                complaints.append((1, f"most of the gradient of {name} is zero"))
    return complaints


def grade(complaints: Sequence[Complaint]) -> str:
    return GRADES[max((hides for hides, _ in complaints), default=0)]


def mended(names: Sequence[str], values: Values, rng: np.random.Generator) -> tuple[Values, list[str]]:
    """The values without what is lazy about them, as far as their shapes allow; and the names of those that changed."""
    values_so_far, changed = list(values), []
    for i, value in enumerate(values):
        if value.size < 2 or not _mendable(value):
            continue
        if value.dtype.kind == "f":
            ones = bool((value == value.flat[0]).all() and value.flat[0] > 0)
            if ones:  # a weight or a scale stays positive
                values_so_far[i] = value * rng.uniform(0.5, 1.5, value.shape)
            else:
                size = float(np.sqrt(np.mean(value**2))) or 1.0
                values_so_far[i] = value + 0.5 * size * rng.uniform(0.5, 1.5, value.shape) * rng.choice(
                    [-1.0, 1.0], value.shape
                )
        elif _is_mask(value):
            mask = rng.uniform(size=value.shape) < 0.7
            mask.flat[rng.integers(mask.size)] = False
            mask.flat[0] = True
            values_so_far[i] = mask.astype(value.dtype)
        else:
            continue
        changed.append(names[i])
    return values_so_far, changed


def _mendable(value: np.ndarray) -> bool:
    return any(hides == 2 for hides, _ in _of(value)) or bool(
        value.dtype.kind != "f" and _is_mask(value) and value.all()
    )


def _is_mask(value: np.ndarray) -> bool:
    return value.dtype.kind == "b" or bool((value == 1).all())
