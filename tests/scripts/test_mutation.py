"""The planted mistakes: found, named at the tensor, never misled. The script plants them in every mode and dtype."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "trials"))

from planting.judge import grade, verdict
from planting.mistake import Mistake
from planting.mistakes import HARMLESS, MISTAKES
from planting.plant import changed_source, check, planted
from tfbp.agreement import matrix
from tfbp.agreement.cases import all_cases

# one process knows what the reference says, which takes longer than most mistakes
pytestmark = pytest.mark.xdist_group("mutations")
# what shows eagerly in float64; the script has every mode and dtype
EAGER = [mistake for mistake in MISTAKES if mistake.room == "manual" and not mistake.needs]


@pytest.mark.parametrize("mistake", EAGER, ids=lambda mistake: mistake.id)
@pytest.mark.sampled(37)
def test_it_is_found_located_and_not_misnamed(mistake):
    with planted(mistake):
        complaint = verdict(mistake, modes=["eager"], dtypes=["float64"])
    found, located, cause = grade(mistake, complaint)
    assert (found, located) == (True, True), complaint
    assert cause == "right" or not mistake.cause, complaint


def test_what_is_planted_is_taken_out_again():
    mistake = next(each for each in MISTAKES if each.id == "manual-kernel-gradient-none")
    with planted(mistake):
        assert verdict(mistake, modes=["eager"], dtypes=["float64"])
    case = matrix.Cell(next(iter(all_cases())), "float64", "eager")
    assert matrix.first_wrong(matrix.run_cell(case)) is None


def test_each_has_one_place_and_a_name_of_its_own():
    check([*MISTAKES, *HARMLESS])
    assert len({mistake.id for mistake in (*MISTAKES, *HARMLESS)}) == len(MISTAKES) + len(HARMLESS) >= 500


SOURCE = """
def half(x):
    # as it was
    y = x / (1 +
             1)
    return y, x
"""


PLACES = [
    ("x / (1 + 1)", "x", "    y = (x)"),
    ("1 + 1", "3", "    y = x / ((3))"),
    ("return y, x", "y += 1\nreturn y", "    y += 1\n    return y"),
]


@pytest.mark.parametrize(("old", "new", "line"), PLACES)
def test_a_place_is_found_whatever_its_spaces_and_comments(old, new, line):
    assert line in changed_source(SOURCE, "half", Mistake("", "half", old, new))


@pytest.mark.parametrize("old", ["x", "z + 1"])
def test_a_place_that_is_not_one_is_refused(old):
    with pytest.raises(ValueError, match="places in half hold"):
        changed_source(SOURCE, "half", Mistake("", "half", old, "0"))
