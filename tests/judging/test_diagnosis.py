"""Causes that the numbers show are named; where they show none, how much is wrong and where, and no cause."""

import numpy as np
import pytest

from tfbp.judging.diagnosis import Clues, diagnose

RNG = np.random.default_rng(1)
RIGHT = RNG.normal(size=(7, 5))
SQUARE = RNG.normal(size=(5, 5))
TERM, FACTOR = RNG.normal(size=(7, 5)), RNG.uniform(0.5, 2, (7, 5))
CLUES = Clues({"the mistake": RIGHT**2}, {"t": TERM}, {"f": FACTOR}, {"B": 12, "O": 5}, {"z < 0": TERM < 0}, summed=100)
ROUNDING = 2.0**-50 * np.abs(RIGHT)


@pytest.mark.parametrize(
    ("got", "cause"),
    [
        (-RIGHT, "the sign is flipped"),
        (0 * RIGHT, "all zero"),
        (RIGHT**2, "the mistake"),
        (RIGHT - TERM, "the term t is missing"),
        (RIGHT + TERM, "the term t is counted twice"),
        (RIGHT - 2 * TERM, "the term t has the wrong sign"),
        (RIGHT / FACTOR, "the factor f is missing"),
        (RIGHT * FACTOR, "the factor f is there once too often"),
        (RIGHT + TERM / FACTOR - TERM, "in the term t the factor f is missing"),
        (RIGHT + 4 * TERM, "in the term t a factor 1/O is missing"),
        (12 * RIGHT, "a factor 1/B is missing (B = 12)"),
        (RIGHT / 5, "a factor 1/O too many (O = 5)"),
        (2 * RIGHT, "a factor 2 too many, or ½ missing"),
        (7.5 * RIGHT, "every element is 7.5 times what it should be: a constant factor is wrong"),
        (RIGHT * (1 + 1e-13), "every element is too large by 1.0e-13 of itself: a constant of few digits"),
        (np.vstack([RIGHT[:-1], 0 * RIGHT[:1]]), "the last row 6 is missing, left at 0"),
        (RIGHT[:1] + 0 * RIGHT, "every row is the same: one row was broadcast over all"),
        (RIGHT[:, :1] + 0 * RIGHT, "every column is the same: one column was broadcast over all"),
        (RIGHT.astype(np.float32).astype(float), "rounded to float32"),
        (RIGHT.T, "transposed"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_cause_is_named(got, cause):
    assert diagnose(got, RIGHT, ROUNDING, clues=CLUES).cause == cause


def test_a_square_matrix_transposed():
    assert diagnose(SQUARE.T, SQUARE, 1e-15).cause == "transposed"


@pytest.mark.parametrize(
    ("got", "extent"),
    [
        (RIGHT + (np.arange(35).reshape(7, 5) == 8) * 1e-6, "1 of 35 elements is wrong, at [1, 3]: "),
        (RIGHT + RNG.normal(size=(7, 5)), "all 35 elements are wrong, by "),
        (np.where(TERM < 0, RIGHT + RNG.normal(size=(7, 5)), RIGHT), "; only where z < 0"),
    ],
    ids=["one-element", "all", "a-branch"],
)
def test_without_a_cause_it_says_how_much_and_where(got, extent):
    found = diagnose(got, RIGHT, ROUNDING, clues=CLUES)
    assert found.cause == ""
    assert extent in found.extent


def test_one_number_that_is_off_has_no_constant_factor():
    assert diagnose(np.array(3.0), np.array(2.0), 1e-15) == ("", "3, where 2 is expected")


def test_what_the_numbers_cannot_tell_apart_is_named_together():
    clues = Clues({"one": 3 * RIGHT, "another": 3 * RIGHT})
    assert diagnose(3 * RIGHT, RIGHT, ROUNDING, clues=clues).cause == "one or another"


def test_a_small_error_in_one_element_is_not_laid_to_a_factor():
    got = RIGHT.copy()
    got[2, 1] *= 1 + 1e-6
    assert diagnose(got, RIGHT, ROUNDING).cause == ""


def plan(cost, turns=200):
    """Sinkhorn's, of equal marginals."""
    kernel, v = np.exp(-cost), np.ones(cost.shape[1])
    for _ in range(turns):
        u = 1 / (kernel @ v) / len(cost)
        v = 1 / (kernel.T @ u) / cost.shape[1]
    return u[:, None] * kernel * v


def differences(loss, x, step=1e-5):
    slopes = [(loss(x + e) - loss(x - e)) / (2 * step) for e in step * np.eye(x.size).reshape(-1, *x.shape)]
    return np.reshape(slopes, x.shape)


def test_sums_that_should_be_0_tell_of_what_normalizes():
    cost, weight = np.random.default_rng(2).normal(size=(2, 4, 5))
    expected = differences(lambda c: (plan(c) * weight).sum(), cost)
    # Sinkhorn's scalings, and a softmax's sum, taken for constants
    found = diagnose(-plan(cost) * weight, expected, 1e-8)
    said = "sums along axes 0 and 1 should be 0 and are not: the term of what normalizes along it"
    assert found.cause.startswith(said)
    p = np.exp(cost) / np.exp(cost).sum(1, keepdims=True)
    found = diagnose(p * weight, p * (weight - (p * weight).sum(1, keepdims=True)), 1e-15)
    assert found.cause.startswith("sums along axis 1 should be 0 and are not")
    # noise on it is not laid to it
    assert diagnose(expected * (1 + 1e-4 * weight), expected, 1e-8).cause[:4] != "sums"


def test_one_step_of_a_fixed_point_leaves_no_trace_in_its_numbers():
    """What is missing is the inverse of I − J, and J cannot be told from the gradient."""
    rng = np.random.default_rng(3)
    matrix, y, weight = 0.3 * rng.normal(size=(6, 6)), np.zeros(6), rng.normal(size=6)
    for _ in range(100):
        y = np.tanh(matrix @ y + weight[::-1])
    slope = 1 - y**2
    right = np.linalg.solve(np.eye(6) - (slope[:, None] * matrix).T, weight) * slope
    assert diagnose(weight * slope, right, 1e-14).cause == ""


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ([3, 4, 0, 1, 2], "moved by 2, as by an edge at the wrong side"),
        ([4, 3, 2, 1, 0], "a permutation is wrong, or its inverse"),
    ],
)
def test_numbers_that_moved_along_an_axis_are_not_called_permuted(rng, order, why):
    right = rng.normal(size=(3, 5, 2))
    said = diagnose(right[:, order], right, np.full(right.shape, 1e-12))
    assert f"in another order along axis 1: {why}" in str(said)
