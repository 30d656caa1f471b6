"""Where a gradient is wrong, by differences alone: element by element where they are few, by halves where many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfbp.checking.instruments.slopes import Slope
from tfbp.checking.trial import Trial
from tfbp.judging.diagnosis import diagnose

FEW = 48  # as many are always asked one by one
MANY = 600  # and as many where something is wrong
SAMPLE = 32


@dataclass(frozen=True)
class Judged:
    """Elements held against differences.

    Attributes:
        ratio: the largest error / tolerance. kinks: how many elements are on a kink.
        right, tolerance: every element of the gradient, where all were asked. words, cause: where only some were.
    """

    ratio: float
    kinks: int = 0
    right: Any = None
    tolerance: Any = None
    words: str = ""
    cause: str = ""


def elements(trial: Trial, place: int, mine: np.ndarray, rounding: Any, everything: bool) -> Judged:
    """Judge each element, or, where there are too many, those that halving leads to and a sample."""
    if mine.size <= (MANY if everything else FEW):
        slopes = [one_element(trial, place, index) for index in range(mine.size)]
        spread = np.broadcast_to(rounding, mine.shape).ravel()
        off = [s.off(float(g), r) for s, g, r in zip(slopes, mine.ravel(), spread, strict=True)]
        # on a kink the nearest of what is accepted is right
        values = [min(max(float(g), s.low), s.high) for s, g in zip(slopes, mine.ravel(), strict=True)]
        errors = np.array([s.error for s in slopes]) + spread
        kinks = sum(s.kink for s in slopes)
        right = np.reshape(values, mine.shape)
        return Judged(max(off), kinks, right, errors.reshape(mine.shape))
    worst = halve(trial, place, mine, rounding)
    sample = sorted({worst, *trial.rng.choice(mine.size, SAMPLE, replace=False).tolist()})
    slopes = [one_element(trial, place, index) for index in sample]
    got = mine.ravel()[sample]
    right = np.array([min(max(float(g), s.low), s.high) for s, g in zip(slopes, got, strict=True)])
    spread = np.broadcast_to(rounding, mine.shape).ravel()[sample]
    tolerance = np.array([s.error for s in slopes]) + spread
    off = [s.off(float(g), r) for s, g, r in zip(slopes, got, spread, strict=True)]
    wrong = sum(each > 1 for each in off)
    at = [int(i) for i in np.unravel_index(worst, mine.shape)]
    chosen = sample.index(worst)
    words = (
        f"{wrong} of {len(sample)} elements that were tried are wrong, at {at}: {got[chosen]:.6g}, "
        f"where {right[chosen]:.6g} is expected"
    )
    return Judged(max(off), sum(s.kink for s in slopes), words=words, cause=diagnose(got, right, tolerance).cause)


def halve(trial: Trial, place: int, mine: np.ndarray, rounding: Any) -> int:
    """The flat index of an element that is wrong: the half whose slope is further off, again and again."""
    direction = trial.direction(place)
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
        # most often one half is right, and its off is far below 1: the other need not be asked
        inside = left if off_left > 1 and off_left >= off(right) else right
    return int(inside[0])


def one_element(trial: Trial, place: int, index: int) -> Slope:
    """The slope along one element."""
    value = trial.values[place]
    direction = np.zeros(value.size)
    direction[index] = float(np.sqrt(np.mean(value**2))) or 1.0
    found = trial.slope({place: direction.reshape(value.shape)})
    size = direction[index]
    low, high = found.low / size, found.high / size
    return Slope(found.value / size, found.error / size, low, high, found.kink, found.crossed, found.evaluations)
