"""The causes that a wrong tensor of a network may be given: what computes them never raises, and they are true."""

from functools import lru_cache

import numpy as np
import pytest

from tfbp.agreement.cases import all_cases
from tfbp.agreement.clues.geometry import sizes_of
from tfbp.agreement.matrix import Cell, _other_than, right_answers
from tfbp.judging.comparison import compare
from tfbp.judging.diagnosis import Clues

CASES = {case.name: case for case in all_cases()}


@lru_cache(maxsize=4)
def right_of(name):
    return right_answers(Cell(CASES[name], "float64", "eager"))


def cause_of(name, tensor, wrong, scope="local"):
    right = right_of(name)
    limits = right.tolerances["manual"][scope][tensor], "float64", right.hints[scope].get(tensor)
    return compare(tensor, wrong, right.expected[scope][tensor], *limits).cause


@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(29)
def test_a_tensor_with_one_wrong_number_is_told_and_nothing_raises(name):
    right = right_of(name)
    for scope, expected in right.expected.items():
        for tensor, value in expected.items():
            if np.size(value):
                wrong = np.array(value, np.float64)
                wrong.flat[0] += 1 + np.abs(wrong).max()
                limits = right.tolerances["manual"][scope][tensor], "float64", right.hints[scope].get(tensor)
                assert not compare(tensor, wrong, value, *limits).agrees


def test_a_sum_with_a_projection_has_no_part_of_another_shape():
    """x and the projection of x have other shapes here."""
    tensor, name = "layer 0 z", next(name for name in CASES if name.startswith("projection-"))
    assert cause_of(name, tensor, 2 * right_of(name).expected["local"][tensor]) == "a factor 2 too many, or ½ missing"


def test_a_tensor_of_another_shape_is_that_of_another_argument():
    tensor, name = "layer 0 z", "conv-of-volumes-dilated-B4-4x5x3x2"
    clues = right_of(name).hints["local"][tensor]()
    wrong = clues.mistakes["dilation_rate of axis 0 is left out"]
    assert wrong.shape != right_of(name).expected["local"][tensor].shape
    assert cause_of(name, tensor, wrong) == "dilation_rate of axis 0 is left out"
    assert cause_of(name, tensor, wrong + 1e-6) == ""


def test_sizes_that_are_equal_are_all_named():
    """Six examples of six pixels and channels: the numbers cannot tell which of them is missing."""
    assert sizes_of((6, 3, 2, 4)) == {"B": 6, "H": 3, "W": 2, "C": 4, "(H W)": 6, "N": 36}
    tensor, name = "layer 1 dx", "group-normalization-B6-4x3x2"
    right = right_of(name).expected["local"][tensor]
    through = right_of(name).hints["local"][tensor]().terms["through the mean"]
    said = "in the term through the mean a factor 1/{} is missing"
    assert cause_of(name, tensor, right + 5 * through) == " or ".join(map(said.format, ("B", "C", "(H W)")))


def test_a_layer_s_second_call_continues_from_the_first_in_its_causes_too():
    tensor, name = "layer 0-again new moving_mean", "normalization-shared-B6-I4"
    expected = right_of(name).expected["end to end"]
    first, momentum = expected["layer 0 new moving_mean"], 0.5
    mean = (expected[tensor] - momentum * first) / (1 - momentum)
    assert cause_of(name, tensor, 0.99 * first + 0.01 * mean, "end to end") == "momentum is taken for its default, 0.99"
    # of the values before the first call no cause is known
    given = right_of(name).numbers.parameters[0]["moving_mean"]
    assert cause_of(name, tensor, momentum * given + (1 - momentum) * mean, "end to end") == ""


def test_what_the_accused_reference_computed_is_no_cause_of_it():
    wrong = np.array([1.0, 2.0, 4.0])
    hint = _other_than(wrong, lambda: Clues({"the same": wrong, "another": -wrong}, others={"again": wrong}))
    assert (list(hint().mistakes), hint().others) == (["another"], {})
    assert _other_than(wrong, None)() == Clues()


def test_the_loss_weight_of_an_output_is_named():
    name = "weighed-losses-B8-3x2"
    for number, factor in enumerate((0.25, 3.0)):
        right = right_of(name).expected["end to end"][f"dlosses {number}"]
        cause = cause_of(name, f"dlosses {number}", right / factor, "end to end")
        assert "its loss weight, is missing" in cause
