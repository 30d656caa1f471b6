"""Compares, below float64, the hand-coded backward's error against float64 with the tape's."""

from __future__ import annotations

import numpy as np

from tfbp.agreement.matrix import Result, is_result
from tfbp.judging.tolerances import UNIT_ROUNDOFF

# with fewer numbers, chance decides which of two right formulas is closer
FEWEST_NUMBERS = 32
# the terms of one small gradient, as of a bias, cancel by chance: its relative error would outweigh all others
FEWEST_IN_A_TENSOR = 8
# the ratio by which two summation orders of the same products differ, as root mean squares of their roundings
ACCEPTED_RATIO = 2.0


def error_ratio(results: list[Result]) -> float:
    """Returns manual's end-to-end error against float64 over the tape's, in one cell: root mean squares over gradients.

    A tensor's weight is its number of elements, and 0 if it is 0 up to the tape's rounding, or has few elements where
    larger tensors have enough. NaN means too few numbers in the cell, or a result that is not finite, which is reported
    elsewhere. The tape's error counts as at least one unit roundoff: by chance it can be 0, which no method has to
    match.
    """
    cell = results[0].cell
    manual, tape = (
        [r.comparison for r in results if (r.scope, r.pair) == ("end to end", pair) and is_result(r.comparison.tensor)]
        for pair in ("manual-reference", "tape-reference")
    )
    all_finite = all(np.isfinite(comparison.relative_error) for comparison in manual)
    if len(manual) != len(tape) or not all_finite:
        return np.nan
    pairs = [pair for pair in zip(manual, tape, strict=True) if not pair[1].vanishes]
    large = [pair for pair in pairs if pair[1].size >= FEWEST_IN_A_TENSOR]
    # a small network's numbers count all
    pairs = large if sum(by_tape.size for _, by_tape in large) >= FEWEST_NUMBERS else pairs
    sizes = [by_tape.size for _, by_tape in pairs]
    if sum(sizes) < FEWEST_NUMBERS:
        return np.nan
    squares = [[comparison.relative_error**2 for comparison in pair] for pair in pairs]
    errors = np.sqrt(np.average(squares, axis=0, weights=sizes))
    return float(errors[0] / max(errors[1], UNIT_ROUNDOFF["tf32" if cell.tf32 else cell.dtype]))
