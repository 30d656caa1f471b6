"""What tests of kinds of layers ask of a case in float64, run eagerly."""

import numpy as np

from tfbp.agreement.matrix import Cell, at_fault, first_wrong, run_cell


def blamed(case):
    """(writing, scope, tensor, cause) of what is said first of a case with a mistake in it."""
    results = run_cell(Cell(case, "float64", "eager"))
    found = first_wrong(results)
    assert found is not None
    writing, said = at_fault(results, found)
    return writing, found.scope, said.tensor, said.cause


def assert_whole_passes_agree(case):
    for result in run_cell(Cell(case, "float64", "eager")):
        if result.scope == "end to end":
            assert result.comparison.relative_error < 1e-12, result.comparison.tensor
            assert np.isfinite(result.comparison.ratio)
