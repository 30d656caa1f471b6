"""The cell of a case in float64, run eagerly, for tests of kinds of layers."""

import numpy as np

from tfbp.agreement.matrix import Cell, run_cell


def assert_whole_passes_agree(case):
    for result in run_cell(Cell(case, "float64", "eager")):
        if result.scope == "end to end":
            assert result.comparison.relative_error < 1e-12, result.comparison.tensor
            assert np.isfinite(result.comparison.ratio)
