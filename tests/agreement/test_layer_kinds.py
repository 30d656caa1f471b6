"""Layers with parts in the matrix: a wrong part is named, and whole passes agree."""

import pytest
from float64_cell import assert_whole_passes_agree

from tfbp import network
from tfbp.agreement.cases import cases_of
from tfbp.agreement.matrix import Cell, first_wrong, run_cell
from tfbp.manual import dense

CASES = {case.name.split("-B")[0]: case for case in cases_of(network.shapes, network.residual)}


def test_a_wrong_part_is_named_and_not_the_layer_around_it(monkeypatch):
    right = dense.dense_backward

    def wrong(dz, residuals, **options):
        dx, dkernel, dbias = right(dz, residuals, **options)
        return dx, dkernel, None if dbias is None else dbias * (2 if dz.shape[-1] == 6 else 1)

    monkeypatch.setattr(dense, "dense_backward", wrong)
    results = run_cell(Cell(CASES["residual"], "float32", "eager"))
    names = {r.comparison.tensor for r in results if r.scope == "local" and not r.comparison.agrees}
    assert names == {"layer 0.layers.0 dbias"}
    assert first_wrong(results).comparison.cause.startswith("a factor 2 too many")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.sampled(4)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    assert_whole_passes_agree(case)
