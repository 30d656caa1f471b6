"""Where a gradient is wrong, by differences alone: element by element where they are few, by halves where many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tfbp.checking.instruments.slopes import Slope, of_few_bits, typical
from tfbp.checking.trial import NEARER, TINY, Trial
from tfbp.judging.diagnosis import diagnose

FEW = 48  # as many elements are always compared one by one
MANY = 600  # and as many where something is wrong
SAMPLE = 32
# beside no more elements it is looked for where no difference is finite
MOST_EDGES = 32
NEAREST = 2.0**-40


@dataclass(frozen=True)
class Judged:
    """Elements held against differences.

    Attributes:
        ratio: the largest error / tolerance. kinks: how many elements are on a kink.
        right, tolerance: every element of the gradient, where all were compared. words, cause: where only some were.
        unknown: beside how many no difference is finite.
    """

    ratio: float
    kinks: int = 0
    right: Any = None
    tolerance: Any = None
    words: str = ""
    cause: str = ""
    unknown: int = 0


def elements(
    trial: Trial, place: int, mine: np.ndarray, rounding: Any, direction: np.ndarray, everything: bool
) -> Judged:
    """Judge each element, or, where there are too many, those that halving leads to along a direction, and a sample."""
    if mine.size <= (MANY if everything else FEW):
        asked = _asked(trial, place, mine, rounding, range(mine.size))
        right, tolerance = (array.reshape(mine.shape) for array in (asked.right, asked.tolerance))
        return Judged(max(asked.off), asked.kinks, right, tolerance, unknown=asked.unknown)
    worst = halve(trial, place, mine, rounding, direction)
    sample = sorted({worst, *trial.rng.choice(mine.size, SAMPLE, replace=False).tolist()})
    asked = _asked(trial, place, mine, rounding, sample)
    got, right, tolerance, off = mine.ravel()[sample], asked.right, asked.tolerance, asked.off
    wrong = sum(offset > 1 for offset in off)
    at = [int(i) for i in np.unravel_index(worst, mine.shape)]
    chosen = sample.index(worst)
    words = (
        f"{wrong} of {len(sample)} elements that were tried are wrong, at {at}: {got[chosen]:.6g}, "
        f"where {right[chosen]:.6g} is expected"
    )
    cause = diagnose(got, right, tolerance).cause
    return Judged(max(off), asked.kinks, words=words, cause=cause, unknown=asked.unknown)


class _Asked(NamedTuple):
    """Differences at some elements. On a kink, and without a usable difference, `right` is the gradient itself."""

    right: np.ndarray
    tolerance: np.ndarray
    off: list[float]
    kinks: int
    unknown: int


def _asked(trial: Trial, place: int, mine: np.ndarray, rounding: Any, chosen: Iterable[int]) -> _Asked:
    right, tolerance, off, kinks, unknown = [], [], [], 0, 0
    spread = np.broadcast_to(rounding, mine.shape).ravel()
    for index in chosen:
        got = float(mine.flat[index])
        difference = one_element(trial, place, index, got, float(spread[index]))
        known = np.isfinite(difference.doubt)
        # on a kink the nearest of what is accepted is right
        right.append(min(max(got, difference.low), difference.high) if known else got)
        tolerance.append(difference.error + spread[index] if known else 0.0)
        off.append(difference.off(got, float(spread[index])) if known else 0.0)
        kinks, unknown = kinks + (known and difference.kink), unknown + (not known)
    return _Asked(np.array(right), np.array(tolerance), off, kinks, unknown)


def halve(trial: Trial, place: int, mine: np.ndarray, rounding: Any, direction: np.ndarray) -> int:
    """The flat index of a wrong element: takes the half with the slope that is further off, again and again."""
    spread = np.broadcast_to(rounding, mine.shape).ravel()
    inside = np.arange(mine.size)

    def off(chosen: np.ndarray) -> float:
        part = np.zeros(mine.size)
        part[chosen] = direction.ravel()[chosen]
        found = trial.slope({place: part.reshape(mine.shape)})
        return found.off(float(np.vdot(mine.ravel(), part)), float(spread @ np.abs(part)))

    while len(inside) > 1:
        left, right = np.array_split(inside, 2)
        off_left = off(left)
        # most often one half is right, and its off is far below 1: the other is not needed
        inside = left if off_left > 1 and off_left >= off(right) else right
    return int(inside[0])


def edges(trial: Trial, place: int, direction: np.ndarray) -> list[int]:
    """The flat indices of elements beside which the function is not finite, on one side at least, however near; by
    halves, and no more than `MOST_EDGES`."""
    found: list[int] = []
    parts = [np.arange(direction.size)]
    while parts and len(found) <= MOST_EDGES:
        chosen = parts.pop()
        step = np.zeros(direction.size)
        step[chosen] = NEAREST * direction.ravel()[chosen]
        moved = [trial.values[place] + side * step.reshape(direction.shape) for side in (1, -1)]
        if all(
            np.isfinite(trial.at([m if i == place else v for i, v in enumerate(trial.values)])).all() for m in moved
        ):
            continue
        if len(chosen) == 1:
            found.append(int(chosen[0]))
        else:
            parts += np.array_split(chosen, 2)
    return found


def one_element(trial: Trial, place: int, index: int, got: float, rounding: float = 0.0) -> Slope:
    """The slope along one element, by steps that are small beside all of them; where these disagree with the gradient,
    by smaller ones, and where the element is tiny, by steps that are small beside itself."""
    value = trial.values[place]
    own, usual = abs(float(value.flat[index])), typical(value)
    difference = _along(trial, place, index, usual)
    is_tiny = 0 < own < TINY * usual
    # what is a kink of large steps may be smooth beside a tiny element
    is_settled = not is_tiny or (difference.settles(got, rounding) and not difference.kink)
    if difference.off(got, rounding) <= 1 and is_settled:
        return difference
    size = own if is_tiny else NEARER * usual
    return difference.or_nearer(lambda part: _along(trial, place, index, size * part, difference), got, rounding)


def _along(trial: Trial, place: int, index: int, size: float, known: Slope | None = None) -> Slope:
    """The slope along one element, in its own units."""
    size = float(of_few_bits(np.array(size)))
    direction = np.zeros(trial.values[place].shape)
    direction.flat[index] = size
    return trial.slope({place: direction}, known=None if known is None else known.over(1 / size)).over(size)
