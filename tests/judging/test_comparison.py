"""A comparison: what disagrees, whatever it is, and what agrees."""

import numpy as np
import pytest

from tfbp.judging.comparison import compare
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import attempt

RIGHT = np.array([[1.0, -2.0, 4.0], [0.5, 8.0, -1.0]])


def test_within_its_tolerance_it_agrees_and_says_nothing():
    found = compare("dx", RIGHT * (1 + 2**-50), RIGHT, 2**-49 * np.abs(RIGHT))
    assert found.agrees
    assert (found.cause, found.extent, found.size) == ("", "", 6)
    assert 0 < found.ratio <= 1


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (None, "None, where a tensor is expected"),
        (3.0, "a float, where a tensor is expected"),
        (RIGHT.astype(np.float32), "dtype float32, where float64 is expected"),
        (RIGHT.T, "transposed; shape (3, 2), where (2, 3) is expected"),
        (np.where(RIGHT == 8, np.nan, RIGHT), "nan at [1, 1]"),
        (np.where(RIGHT == 8, np.inf, RIGHT), "inf at [1, 1]"),
    ],
    ids=["none", "float", "dtype", "shape", "nan", "inf"],
)
def test_what_is_no_such_tensor_disagrees_in_words(got, said):
    found = compare("dx", got, RIGHT, 1e9)
    assert not found.agrees
    assert found.ratio == np.inf or np.isnan(found.ratio)
    assert found.mistake == said


def test_an_exception_disagrees_and_names_its_line():
    def backward(dy):
        return dy @ RIGHT

    found = compare("dx", attempt(backward, RIGHT), RIGHT, 1.0)
    assert not found.agrees
    assert found.mistake.startswith("ValueError: matmul: ")
    assert found.mistake.endswith("return dy @ RIGHT")
    assert "test_comparison.py:" in found.mistake


def test_a_nan_tolerance_is_a_disagreement():
    assert not compare("dx", RIGHT + 1, RIGHT, np.nan).agrees


def test_clues_are_asked_only_where_something_is_wrong():
    def clues():
        asked.append(1)
        return Clues(mistakes={"the mistake": RIGHT + 1})

    asked = []
    assert compare("dx", RIGHT, RIGHT, 1e-9, clues=clues).agrees
    assert not asked
    assert compare("dx", RIGHT + 1, RIGHT, 1e-9, clues=clues).cause == "the mistake"
