"""The verdict on precision: manual's error beside the tape's, in what has digits to lose."""

import numpy as np
import pytest

from tfbp.agreement.cases import all_cases
from tfbp.agreement.matrix import Cell, Result, run_cell
from tfbp.agreement.precision import error_ratio
from tfbp.agreement.report import worst_relative_error
from tfbp.judging.comparison import Comparison, compare

CASES = {case.name: case for case in all_cases()}
CELL = Cell(CASES["batch-normalization-training-B8-5x4x2"], "float32", "eager")
ROUNDING = 1e-7


def result(pair, tensor, relative_error, size, ratio=0.1):
    return Result(CELL, pair, "end to end", Comparison(tensor, ratio, relative_error, size=size))


def results(errors):
    """From (tensor, size, manual's error, the tape's)."""
    return [
        result(f"{writing}-reference", tensor, error, size)
        for tensor, size, *both in errors
        for writing, error in zip(("manual", "tape"), both, strict=True)
    ]


@pytest.mark.parametrize("factor", [1, 5])
def test_a_gradient_of_0_has_no_voice(factor):
    """A bias before a normalization has the gradient 0: its relative errors, however far apart, are rounding's."""
    kernel = ("layer 0 dkernel", 72, factor * ROUNDING, ROUNDING)
    for lost in ((6e8, 5e8), (9e8, 1e8), (1e8, 9e8)):
        found = results([kernel, ("layer 0 dbias", 4, *lost)])
        assert error_ratio(found) == pytest.approx(factor, rel=0.2)
        assert worst_relative_error(found) == pytest.approx(factor * ROUNDING)


def test_a_small_gradient_whose_terms_cancel_has_no_voice():
    kernel = ("layer 0 dkernel", 72, ROUNDING, ROUNDING)
    assert error_ratio(results([kernel, ("layer 0 dbias", 4, 40 * ROUNDING, 5 * ROUNDING)])) == pytest.approx(1)
    assert error_ratio(results([kernel, ("layer 0 dbias", 8, 40 * ROUNDING, 5 * ROUNDING)])) > 2


def test_a_gradient_of_0_has_none_where_its_roundings_come_close():
    expected, got = np.array([3e-17, -2e-17]), np.array([2e-17, -3e-17])
    assert compare("dbias", got, expected, 1e-15).vanishes
    assert not compare("dbias", got, expected, 2e-17).vanishes
    assert not compare("dkernel", np.array([1.2, 2.0]), np.array([1.0, 2.0]), 0.3).vanishes


def test_a_gradient_that_only_manual_loses_counts():
    found = results([("layer 0 dkernel", 72, 10.0, ROUNDING)])
    assert error_ratio(found) > 1e6


def test_a_disagreement_is_never_left_out():
    found = [result("manual-reference", "layer 0 dbias", 3.0, 4, ratio=7.0)]
    assert worst_relative_error(found) == 3.0


def test_where_too_little_has_digits_there_is_no_verdict():
    assert np.isnan(error_ratio(results([("layer 0 dkernel", 31, 0.9, ROUNDING), ("layer 0 dbias", 40, 5.0, 5.0)])))


def test_in_a_network_with_one():
    found = run_cell(CELL)
    assert worst_relative_error(found) < 1e-4
    assert error_ratio(found) < 2
