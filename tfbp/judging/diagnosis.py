"""Names the likely mistake in a wrong gradient from its numbers, only where they leave little doubt.

A hypothesis is a cause with the values that it would give. It is named if it explains the difference up to the
tolerance. If none does, the diagnosis has no cause, but still the size and the place of the error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from tfbp.judging.tolerances import UNIT_ROUNDOFF

Arrays = Mapping[str, np.ndarray]
# the narrowest first: others hold its numbers, too
_NARROWER = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32}


class Diagnosis(NamedTuple):
    """The cause, empty where no mistake explains the numbers; and the size and place of the error."""

    cause: str
    extent: str


@dataclass(frozen=True)
class Clues:
    """Clues for the diagnosis of a tensor. All arrays broadcast to the tensor's shape.

    Attributes:
        mistakes: by a sentence that names the mistake, the tensor's values with this mistake.
        terms: the parts of the tensor's sum, by name: one may be missing, counted twice or of wrong sign.
        factors: by name; a mistake may omit one from the tensor or a term of it, or repeat it.
        sizes: numbers that are easily forgotten as a factor or divisor, e.g. {"B": 12}.
        regions: by name, e.g. "z < 0", the elements (booleans) of one branch of the function.
        kinks: by name, e.g. "z = 0", the elements where the derivative is that of one side.
        summed: the number of terms in each element's sum, where it is large.
        others: mistakes that are named only where nothing else explains the numbers.
    """

    mistakes: Arrays = field(default_factory=dict)
    terms: Arrays = field(default_factory=dict)
    factors: Arrays = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    regions: Arrays = field(default_factory=dict)
    kinks: Arrays = field(default_factory=dict)
    summed: int = 1
    others: Arrays = field(default_factory=dict)


def diagnose(
    got: np.ndarray, expected: np.ndarray, tolerance: Any = 0.0, dtype: str = "float64", clues: Clues | None = None
) -> Diagnosis:
    """Returns the likeliest mistake behind `got`, computed in `dtype`, where `expected` is right.

    Example:
        >>> diagnose(np.ones((2, 2)), np.ones((1, 2))).cause
        'a row and a column were multiplied elementwise, which broadcasts'
        >>> diagnose(np.array([4.0, 8.0, -12.0]), np.array([1.0, 2.0, -3.0]), clues=Clues(sizes={"B": 4})).cause
        'a factor 1/B is missing (B = 4)'
        >>> diagnose(np.array([2.0, 4.0, 7.0]), np.array([2.0, 4.0, 6.0]))
        Diagnosis(cause='', extent='1 of 3 elements is wrong, at [2]: 7, where 6 is expected')
    """
    clues = clues or Clues()
    if got.shape != expected.shape:
        cause = _of_shapes(got, expected) or _of_another_shape(got, expected, tolerance, clues)
        return Diagnosis(cause, f"shape {got.shape}, where {expected.shape} is expected")
    if not np.isfinite(got).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(got))[0])
        return Diagnosis("", f"{got[where]} at {list(where)}{_region(~np.isfinite(got), clues)}")
    tolerance = np.broadcast_to(np.asarray(tolerance, np.float64), got.shape)
    wrong = ~(np.abs(got - expected) <= tolerance)
    extent = _extent(got, expected, wrong) + _region(wrong, clues)
    if not got.any():
        return Diagnosis("all zero", extent)
    named = [
        cause
        for cause, hypothesis in chain(_usual(expected), _known(expected, clues))
        if _explains(hypothesis, got, expected, tolerance)
    ]
    # two mistakes with the same numbers are both named: the numbers cannot separate them
    cause = " or ".join(dict.fromkeys(named[:3])) or _of_a_constant(got, expected, tolerance, clues)
    if not cause:
        others = (name for name, value in clues.others.items() if _explains(value, got, expected, tolerance))
        cause = " or ".join(islice(others, 2)) or _of_kinks(wrong, clues) or _of_order(got, expected, tolerance)
    if not cause and not _region(wrong, clues):
        cause = _of_rows(got, expected, tolerance) or _of_sums(got, expected, wrong, tolerance)
    return Diagnosis(cause or _of_roundings(got, expected, wrong, dtype, clues), extent)


def _usual(expected: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "the sign is flipped", -expected
    if expected.ndim >= 2 and expected.shape[-2] == expected.shape[-1] > 1:
        transposed = np.swapaxes(expected, -1, -2)
        yield "transposed", transposed
        # TensorFlow's factorizations do so, because they read one triangle
        yield "split over both triangles, as of a symmetric matrix: f((x + xᵀ) / 2) agrees", (expected + transposed) / 2


def _known(expected: np.ndarray, clues: Clues) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in clues.mistakes.items():
        if np.shape(value) == expected.shape:
            yield name, np.asarray(value, np.float64)
    with np.errstate(all="ignore"):
        for name, term in clues.terms.items():
            yield f"the term {name} is missing", expected - term
            yield f"the term {name} is counted twice", expected + term
            yield f"the term {name} has the wrong sign", expected - 2 * term
        for name, factor in clues.factors.items():
            yield f"the factor {name} is missing", expected / factor
            yield f"the factor {name} is there once too often", expected * factor
            for term_name, term in clues.terms.items():
                place = f"in the term {term_name} the factor {name} is"
                yield f"{place} missing", expected + term / factor - term
                yield f"{place} there once too often", expected + term * (factor - 1)
    for term_name, term in clues.terms.items():
        for name, size in clues.sizes.items():
            if size > 1:
                yield f"in the term {term_name} a factor 1/{name} is missing", expected + term * (size - 1)
                yield f"in the term {term_name} a factor 1/{name} too many", expected + term * (1 / size - 1)


def _of_another_shape(got: np.ndarray, expected: np.ndarray, tolerance: Any, clues: Clues) -> str:
    """A mistake that gives the very tensor, its shape too."""
    norm = float(np.linalg.norm(expected)) or 1.0
    rounding = float(np.linalg.norm(np.broadcast_to(tolerance, expected.shape))) / norm
    for name, value in (*clues.mistakes.items(), *clues.others.items()):
        left = float(np.linalg.norm(got - value)) if np.shape(value) == got.shape and np.any(value) else np.inf
        if left <= min(4 * rounding + 2.0**-50, 1e-2) * np.linalg.norm(value):
            return name
    return ""


def _explains(hypothesis: np.ndarray, got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray) -> bool:
    """Whether the rest of the difference is rounding, and a small part of it."""
    hypothesis = np.broadcast_to(hypothesis, got.shape)
    if not np.isfinite(hypothesis).all():
        return False
    size, left = np.linalg.norm(expected), np.linalg.norm(got - hypothesis)
    rounding = np.linalg.norm(tolerance) + 2.0**-50 * size
    larger = 1 + np.linalg.norm(hypothesis) / size if size else 1.0
    return bool(left <= 2 * rounding * larger and left <= 0.05 * np.linalg.norm(got - expected))


def _of_a_constant(got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray, clues: Clues) -> str:
    """A factor that is the same for all elements; an unnamed one counts only if three elements agree on it."""
    if not expected.any():
        return ""
    factor = float(np.vdot(got, expected) / np.vdot(expected, expected))
    if not factor or not _explains(factor * expected, got, expected, tolerance):
        return ""
    digits = np.linalg.norm(tolerance) / np.linalg.norm(expected) + 1e-12
    names, size_of_it = [], abs(factor)
    for name, size in (*clues.sizes.items(), ("2", 2)):
        shown = "" if name == "2" else f" ({name} = {size})"
        if size > 1 and abs(size_of_it / size - 1) < digits:
            names.append(f"a factor 1/{name} is missing{shown}" if name != "2" else "a factor 2 too many, or ½ missing")
        if size > 1 and abs(size_of_it * size - 1) < digits:
            names.append(f"a factor 1/{name} too many{shown}" if name != "2" else "a factor ½ too many, or 2 missing")
    if names:
        return ("the sign is flipped, and " if factor < 0 else "") + " or ".join(names)
    if np.count_nonzero(expected) < 3:
        return ""
    if abs(factor - 1) < 1e-2:
        more = "large" if factor > 1 else "small"
        return f"every element is too {more} by {abs(factor - 1):.1e} of itself: a constant of few digits"
    return f"every element is {factor:.6g} times what it should be: a constant factor is wrong"


def _of_rows(got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray) -> str:
    """Rows that are missing, or that were broadcast to all; columns too."""
    if got.ndim != 2:
        return ""
    for axis, what in ((0, "row"), (1, "column")):
        if got.shape[axis] < 3 or got.shape[1 - axis] < 2:
            continue
        rows, right = np.moveaxis(got, axis, 0), np.moveaxis(expected, axis, 0)
        rounding = np.moveaxis(tolerance, axis, 0)
        if np.abs(rows - rows[:1]).max() <= 1e-12 * np.abs(rows).max() and rows.any() and np.ptp(right, axis=0).any():
            return f"every {what} is the same: one {what} was broadcast over all"
        wrong = (np.abs(rows - right) > rounding).any(axis=1)
        empty = ~rows.any(axis=1) & (np.count_nonzero(right, axis=1) > 1)
        if wrong.any() and (wrong == empty).all():
            return f"{_which(wrong, what)} missing, left at 0"
    return ""


def _of_sums(got: np.ndarray, expected: np.ndarray, wrong: np.ndarray, tolerance: np.ndarray) -> str:
    """Sums that are 0 in the right gradient, because a shift of a whole row changes nothing, and are not 0 here."""
    if expected.size < 6 or wrong.mean() < 0.9:
        return ""
    axes = []
    for axis in range(expected.ndim):
        if expected.shape[axis] < 3:
            continue
        rounding = 2 * tolerance.sum(axis) + 2.0**-46 * np.abs(expected).sum(axis)
        # large tolerances make every sum uncertain
        telling = rounding.max() < 1e-3 * np.abs(expected).sum(axis).max()
        if telling and (np.abs(expected.sum(axis)) <= rounding).all():
            apart = np.abs(got.sum(axis)) > np.maximum(1e-2 * np.abs(got).sum(axis), 8 * rounding)
            axes += [str(axis)] if apart.mean() >= 0.9 else []
    if not axes:
        return ""
    named = f"axis {axes[0]}" if len(axes) == 1 else f"axes {' and '.join(axes)}"
    return f"sums along {named} should be 0 and are not: the term of what normalizes along it is missing or wrong"


def _moved(got: np.ndarray, expected: np.ndarray, axis: int, rounding: float) -> int:
    """By how many places all numbers are moved along an axis, around its end; 0 if by no one number, or turned."""
    count = expected.shape[axis]
    moved = (n for n in range(1, count) if (np.abs(np.roll(expected, n, axis) - got) <= rounding).all())
    return next(moved, 0) if count > 2 else 0


def _of_order(got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray) -> str:
    """The right numbers at other places, along one axis or anywhere."""
    rounding = 2 * float(tolerance.max())
    # equal or nearly equal numbers do not show their order
    if expected.size < 4 or np.unique(expected).size < 4 or rounding > 1e-3 * float(np.ptp(expected)):
        return ""
    for axis in (*range(expected.ndim), None):
        # each at its own place, but for a small part of their range, is no other order
        if np.abs(got - expected).max() < 1e-3 * np.ptp(expected):
            return ""
        same = np.abs(np.sort(got, axis) - np.sort(expected, axis)) <= rounding
        if same.all() and (axis is None or expected.shape[axis] > 1):
            along = "" if axis is None or expected.ndim == 1 else f" along axis {axis}"
            places = 0 if axis is None else _moved(got, expected, axis, rounding)
            why = (
                f"moved by {places}, as by an edge at the wrong side"
                if places
                else "a permutation is wrong, or its inverse"
            )
            return f"the right numbers in another order{along}: {why}"
    return ""


def _of_kinks(wrong: np.ndarray, clues: Clues) -> str:
    for name, kink in clues.kinks.items():
        kink = np.broadcast_to(kink, wrong.shape)
        if wrong.any() and not kink.all() and not (wrong & ~kink).any():
            return f"on the kink {name} it is another side's"
    return ""


def _which(wrong: np.ndarray, what: str) -> str:
    places = np.flatnonzero(wrong)
    if len(places) > 1:
        return f"{len(places)} {what}s, the first of them {what} {places[0]}, are"
    return f"the {'last ' if places[0] == len(wrong) - 1 else ''}{what} {places[0]} is"


def _of_roundings(got: np.ndarray, expected: np.ndarray, wrong: np.ndarray, dtype: str, clues: Clues) -> str:
    """Numbers of a narrower dtype, errors as large as its rounding, or a small error almost everywhere."""
    unit = UNIT_ROUNDOFF[dtype]
    present = expected != 0
    if wrong.sum() < 2 or present.sum() < 4:
        return ""
    for name, narrower in _NARROWER.items():
        near = (np.abs(got - expected) <= 8 * UNIT_ROUNDOFF[name] * np.abs(expected).max()).all()
        if near and UNIT_ROUNDOFF[name] > unit and (got.astype(narrower).astype(np.float64) == got).all():
            return f"rounded to {name}"
    relative = np.abs(got - expected)[present] / np.abs(expected[present])
    typical, usual = float(np.median(relative)), float(np.quantile(relative, 0.9))
    # the possible loss of a sum of n numbers in n roundings; tolerances expect a wider accumulator
    lost = clues.summed * unit * np.linalg.norm(expected)
    if unit >= UNIT_ROUNDOFF["float16"] and clues.summed > 16 and np.linalg.norm(got - expected) <= lost:
        return f"as large as the roundings of a long sum in {dtype}: it is not added up in a wider type"
    small = np.abs(expected) < 1e-2 * np.abs(expected).max()
    if not (wrong & ~small).any() and np.abs(got - expected).max() <= 8 * unit * np.abs(expected).max():
        return "as large as a rounding of larger terms: they cancel"
    if wrong.mean() < 0.8 or usual > 1e-2 or usual < 64 * unit:
        return ""
    # a missing epsilon and a narrower dtype on the way look alike
    return f"small everywhere, {typical:.0e} of each element: a constant of few digits, or one that is left out"


def _extent(got: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> str:
    error = np.abs(got - expected)
    count = int(wrong.sum())
    if got.ndim == 0:
        return f"{_number(got, expected)}, where {_number(expected, got)} is expected"
    most = np.argmax(np.where(wrong, error, -1.0)) if count else np.argmax(error)
    where = tuple(int(i) for i in np.unravel_index(most, got.shape))
    here = f"at {list(where)}: {_number(got[where], expected[where])}, where {_number(expected[where], got[where])}"
    if count == 1:
        return f"1 of {got.size} elements is wrong, {here} is expected"
    norm = np.linalg.norm(expected)
    share = f", by {np.linalg.norm(error) / norm:.1e} in the 2-norm" if norm else ""
    elements = f"all {got.size}" if count == got.size else f"{count} of {got.size}"
    return f"{elements} elements are wrong{share}, most {here} is expected"


def _number(value: Any, other: Any) -> str:
    """Returns two numbers with as many digits as show the difference."""
    return f"{value:.6g}" if f"{value:.6g}" != f"{other:.6g}" else f"{value:.17g}"


def _region(wrong: np.ndarray, clues: Clues) -> str:
    """Names the wrong elements' region, if a branch of the function computes exactly these, or all others."""
    if not wrong.any() or wrong.all():
        return ""
    for name, region in clues.regions.items():
        region = np.broadcast_to(region, wrong.shape)
        if not region.all() and not (wrong & ~region).any() and wrong.sum() >= 0.5 * region.sum():
            return f"; only where {name}"
    return ""


def _of_shapes(got: np.ndarray, expected: np.ndarray) -> str:
    if got.ndim == 2 and got.shape == expected.shape[::-1]:
        return "transposed"
    if got.size == expected.size and np.squeeze(got).shape == np.squeeze(expected).shape:
        return "an axis of size 1 too few" if got.ndim < expected.ndim else "an axis of size 1 too many"
    if got.ndim == expected.ndim + 1 and got.shape[1:] == expected.shape and got.shape[0] > 1:
        return "not summed over the first axis"
    row_and_column = got.ndim == expected.ndim == 2 and 1 in expected.shape
    if row_and_column and got.shape == (max(expected.shape),) * 2:
        return "a row and a column were multiplied elementwise, which broadcasts"
    try:
        fits = np.broadcast_shapes(got.shape, expected.shape) == expected.shape
    except ValueError:
        fits = False
    if not fits:
        return "summed over the wrong axis" if got.ndim == expected.ndim == 1 else ""
    what = "row" if got.ndim < 2 or got.shape[0] < expected.shape[0] else "column"
    return f"one {what} that a sum with the weights broadcasts over all"
