"""The names that check_tensorflow.py reads before TensorFlow is imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "trials"))

import check_tensorflow


def test_the_names_are_those_of_the_subjects():
    assert sorted(check_tensorflow.subjects()) == sorted(check_tensorflow.NAMES)
    assert set(check_tensorflow.KNOWN) <= set(check_tensorflow.NAMES)
