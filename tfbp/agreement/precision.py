"""Below float64: the error that the hand-coded backward makes against float64, beside the tape's own."""

from __future__ import annotations

import numpy as np

from tfbp.agreement.matrix import Result
from tfbp.checking.tolerances import UNIT_ROUNDOFF

# two summation orders of the same products differ by about this much in their roundings' root mean square
ACCEPTED_RATIO = 2.0


def error_ratio(results: list[Result]) -> float:
    """manual's end-to-end error against float64 over the tape's, in one cell: root mean squares over its tensors.

    The tape's error counts as at least one unit roundoff: it can be 0 by luck, and no method is held to that.
    """
    cell = results[0].cell
    manual, tape = (
        np.sqrt(np.mean([r.comparison.relative_error**2 for r in results if (r.scope, r.pair) == ("end to end", pair)]))
        for pair in ("manual-reference", "tape-reference")
    )
    unit = UNIT_ROUNDOFF["tf32" if cell.tf32 else cell.dtype]
    return float(manual / max(tape, unit))
