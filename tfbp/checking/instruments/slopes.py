"""The slope of a function along a direction, by differences that shrink until they agree; and kinks, found so.

Ridders' method: central differences at steps h, h/2, h/4, …, each with the error terms of the earlier ones taken out;
the entry that changed least is the slope, and its change the estimate of its error. Where no step converges, and the
slopes of the two sides do not meet, the point is on a kink, and anything between the two is a derivative.

Reference: Ridders (1982), https://doi.org/10.1016/S0141-1195(82)80057-0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfbp.judging.tolerances import UNIT_ROUNDOFF

# a slope that is good to as many digits tells another from itself
PLAIN = 1e-3
# how much smaller the steps are, until they stay on one side of an edge
EDGES = (1.0, 2.0**-10, 2.0**-20)
# a function of the step: what each element of φ is there
Along = Callable[[float], np.ndarray]


@dataclass(frozen=True)
class Slope:
    """The slope of Σφ along a direction.

    Attributes:
        value, error: the slope and a bound on its error. low, high: the slopes of both sides, on a kink.
        kink: whether the point is on one. crossed: whether a larger step went over one, and was dropped.
        evaluations: how often φ was computed.
        still, floor: the elements of φ that no step changed, and how far their slopes may be from 0 all the same.
    """

    value: float
    error: float
    low: float
    high: float
    kink: bool = False
    crossed: bool = False
    evaluations: int = 0
    still: Any = None
    floor: float = 0.0

    @property
    def doubt(self) -> float:
        """The error relative to the slope; infinite where no difference is finite."""
        found = self.error / max(abs(self.low), abs(self.high), 1e-300)
        return found if np.isfinite(found) else np.inf

    def settles(self, got: float, rounding: float = 0.0) -> bool:
        """Whether it is what was got, and not only because its own error is as large."""
        return self.off(got, rounding) <= 1 and (self.kink or self.doubt <= PLAIN)

    def over(self, size: float) -> Slope:
        """The slope along a direction that is `size` times smaller."""
        scaled = {name: getattr(self, name) / size for name in ("value", "error", "low", "high", "floor")}
        return replace(self, **scaled)

    def gives_way_to(self, nearer: Slope) -> bool:
        """Whether a slope by smaller steps is the better one: less in doubt, or another than this one, which then went
        over a kink or a pole without a sign of it."""
        apart = abs(nearer.value - self.value) > nearer.error + self.error
        return nearer.doubt < self.doubt or (bool(apart) and nearer.doubt < PLAIN)

    def or_nearer(self, by: Callable[[float], Slope], got: float, rounding: float) -> Slope:
        """The slope by smaller steps, if that is the better one; by smaller ones still, where it is another and not
        what was got, or where no difference is finite: a pole, or an edge of what is defined, may be near.

        Args:
            by: the slope by steps of a size, 1 or less.
        """
        best = self
        for size in EDGES:
            nearer = by(size)
            is_same = abs(nearer.value - best.value) <= nearer.error + best.error
            best = nearer if best.gives_way_to(nearer) else best
            if best.doubt <= PLAIN and (is_same or best.off(got, rounding) <= 1):
                break
        return best

    def off(self, got: float, rounding: float = 0.0) -> float:
        """How far outside of what is accepted, in units of the tolerance: 1 or less is inside."""
        outside = max(self.low - got, got - self.high, 0.0)
        tolerance = self.error + rounding
        return outside / tolerance if tolerance else (np.inf if outside else 0.0)


def slope(
    along: Along,
    step: float = 2.0**-6,
    unit: float = UNIT_ROUNDOFF["float64"],
    levels: int = 11,
    known: Slope | None = None,
    roundings: Any = 0.0,
) -> Slope:
    """The slope at 0 of the sum of `along`.

    Args:
        known: the slope by larger steps, in the same units: what these did not change has no roundings here.
        roundings: of each element, where its own formula cancels and they are larger than those of a number as large.

    Example:
        >>> found = slope(lambda h: np.array([np.exp(h)]))
        >>> abs(found.value - 1) <= found.error < 1e-9, found.kink
        (True, False)
        >>> found = slope(lambda h: np.array([max(h, 0.0)]))
        >>> found.kink, found.low, found.high
        (True, 0.0, 1.0)
        >>> slope(lambda h: np.array([abs(h - 2**-9)])).crossed
        True
    """
    at = along(0.0)
    roundings = np.maximum(4 * unit * np.abs(at), roundings)
    unmoved = np.zeros(at.shape, bool) if known is None or known.still is None else known.still
    still, noise, floor = np.ones(at.shape, bool), 0.0, 0.0
    rows: list[list[float]] = []
    best, error, chosen, asked = np.nan, np.inf, 0, 1
    sides, rough = [], []
    for level in range(levels):
        h = step / 2**level
        up, down = along(h), along(-h)
        asked += 2
        still = still & (up == at) & (down == at)
        # each element is rounded on its own: the roundings add up as a random walk does
        noise = float(np.linalg.norm(roundings[~still])) + 4e-300 * unit
        floor = (0.0 if known is None else known.floor) + float(np.linalg.norm(roundings[still & ~unmoved])) / step
        larger = np.nan_to_num(np.maximum(np.abs(up), np.abs(down)), posinf=0.0)
        rough.append(float(np.linalg.norm(np.maximum(roundings, 4 * unit * larger)[~still])) / h)
        sides.append((float((up - at).sum()) / h, float((at - down).sum()) / h))
        row = [float((up - down).sum()) / (2 * h)]
        for order, earlier in enumerate(rows[-1] if rows else [], start=1):
            row.append((4**order * row[-1] - earlier) / (4**order - 1))
            change = max(abs(row[-1] - row[-2]), abs(row[-1] - earlier)) + max(rough[-2:])
            if change < error:
                best, error, chosen = row[-1], change, level
        rows.append(row)
        if (level and error <= 1e-11 * abs(best)) or (level > chosen + 4 and level > 6):
            break
    scale = max(abs(best), noise / step)
    error = max(4 * error + 2 * noise / step, _off_later(rows, best, chosen, step, noise)) + floor
    # a symmetrical kink converges all the same: take both sides, and remove the first error term of each
    (right, left), (right_before, left_before) = sides[-1], sides[-2]
    right, left = 2 * right - right_before, 2 * left - left_before
    doubt = abs(right - sides[-1][0]) + abs(left - sides[-1][1]) + 8 * noise / h + floor
    if abs(right - left) > 4 * doubt + 1e-9 * scale:
        return Slope(
            best, doubt, min(left, right), max(left, right), kink=True, evaluations=asked, still=still, floor=floor
        )
    # of a smooth function each halving leaves a quarter of the error
    far = [abs(row[0] - best) for row in rows[:4]]
    crossed = far[0] > 1e-3 * scale and any(is_far > 2 * far[0] / 4**k for k, is_far in enumerate(far) if k)
    return Slope(best, error, best, best, crossed=crossed, evaluations=asked, still=still, floor=floor)


def _off_later(rows: list[list[float]], best: float, chosen: int, step: float, noise: float) -> float:
    """How far the differences by smaller steps are from the best entry, beyond their own errors.

    Where steps go over many kinks two entries may be alike by chance, and the best of many is: what comes after is not.
    """
    off = 0.0
    truncation = abs(rows[chosen][0] - best)
    for level in range(chosen + 1, len(rows)):
        truncation /= 4
        off = max(off, abs(rows[level][0] - best) - 2 * truncation - 4 * noise * 2**level / step)
    return 4 * off


def typical(value: np.ndarray) -> float:
    """The root mean square, or 1 of nothing but zeros."""
    return float(np.sqrt(np.mean(value**2))) or 1.0


def of_few_bits(direction: np.ndarray) -> np.ndarray:
    """The numbers with four binary digits: a number and a small part of them have an exact sum."""
    digits, exponents = np.frexp(direction)
    return np.ldexp(np.round(digits * 16) / 16, exponents)
