"""Below float64: the error that the hand-coded backward makes against float64, beside the tape's own."""

from __future__ import annotations

import numpy as np

from tfbp.agreement.matrix import Result, is_result
from tfbp.judging.tolerances import UNIT_ROUNDOFF

# with fewer, luck decides which of two right formulas is closer
FEWEST_NUMBERS = 32
# two summation orders of the same products differ by about this much in their roundings' root mean square
ACCEPTED_RATIO = 2.0


def error_ratio(results: list[Result]) -> float:
    """manual's end-to-end error against float64 over the tape's, in one cell: root mean squares over its gradients.

    A tensor counts by its numbers, and one that is 0 but for the tape's rounding not at all. NaN represents too few
    numbers in the cell, or for one that is none: that is said already. The tape's error counts as at least one unit
    roundoff: it can be 0 by luck, and no method is held to that.
    """
    cell = results[0].cell
    manual, tape = (
        [r.comparison for r in results if (r.scope, r.pair) == ("end to end", pair) and is_result(r.comparison.tensor)]
        for pair in ("manual-reference", "tape-reference")
    )
    told = all(np.isfinite(comparison.relative_error) for comparison in manual)
    if len(manual) != len(tape) or not told:
        return np.nan
    pairs = [pair for pair in zip(manual, tape, strict=True) if not pair[1].vanishes]
    sizes = [by_tape.size for _, by_tape in pairs]
    if sum(sizes) < FEWEST_NUMBERS:
        return np.nan
    squares = [[comparison.relative_error**2 for comparison in pair] for pair in pairs]
    errors = np.sqrt(np.average(squares, axis=0, weights=sizes))
    return float(errors[0] / max(errors[1], UNIT_ROUNDOFF["tf32" if cell.tf32 else cell.dtype]))
