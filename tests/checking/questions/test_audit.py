"""A lazy test point is named, graded, and mended where its shape allows."""

import numpy as np
import pytest

from tfbp.checking.questions import audit

RNG = np.random.default_rng(2)
GOOD = RNG.normal(size=(4, 3))


@pytest.mark.parametrize(
    ("value", "grade", "said"),
    [
        (GOOD, "good", ""),
        (np.zeros((4, 3)), "blind", "is all zero"),
        (np.ones((4, 3)), "blind", "is 1 everywhere"),
        (np.sign(GOOD), "blind", "is ±1 everywhere"),
        (np.eye(3), "blind", "is symmetric"),
        (RNG.normal(size=(3, 3)), "weak", "is square, 3 by 3"),
        (np.repeat(GOOD[:1], 4, axis=0), "blind", "has identical rows"),
        (GOOD[:1], "weak", "is a batch of 1"),
        (np.ones((4, 3), int), "weak", "is 1 everywhere"),
        (np.array([0.5]), "weak", "has one element"),
    ],
    ids=["good", "zeros", "ones", "signs", "symmetric", "square", "rows", "batch", "mask", "single"],
)
def test_what_is_lazy_is_named(value, grade, said):
    complaints = audit.of_inputs(["a"], [value])
    assert audit.grade(complaints) == grade
    assert said in " ".join(words for _, words in complaints)


def test_gradients_that_show_nothing():
    dead = GOOD.copy()
    dead[:, 1] = 0
    complaints = audit.of_gradients(["x", "y", "z"], [0 * GOOD, dead, None])
    assert [words for _, words in complaints] == [
        "the gradient of x is zero everywhere: it shows nothing",
        "1 of 3 columns of the gradient of y are zero: dead units",
    ]


def test_what_can_be_mended_is(rng):
    values = [np.zeros((4, 3)), np.ones((4, 3), int), np.eye(3), GOOD, np.arange(4)]
    mended, changed = audit.mended(["x", "mask", "kernel", "good", "labels"], values, rng)
    assert changed == ["x", "mask", "kernel"]
    assert set(np.unique(mended[1])) == {0, 1}
    assert audit.grade(audit.of_inputs(["x", "kernel"], [mended[0], mended[2]])) == "weak"
    assert mended[3] is GOOD
