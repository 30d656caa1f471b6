"""Built approximations keep the error that was promised."""

import numpy as np
import pytest

from tfbp import InputError
from tfbp.expressive import approximation
from tfbp.expressive.functions import CONTINUOUS, OF_TWO


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_staircase_reaches_a_thousandth(name):
    function = CONTINUOUS[name]
    units = approximation.units_for(function, -1.0, 1.0, precision=1e-3)
    built = approximation.staircase(function, -1.0, 1.0, units)
    assert approximation.largest_error(*built, function, -1.0, 1.0) < 1e-3


@pytest.mark.parametrize("units", [1, 7, 64])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_staircase_keeps_its_bound(name, units):
    function = CONTINUOUS[name]
    variation = np.abs(np.diff(function(np.linspace(-1, 1, 2**18)))).sum()
    built = approximation.staircase(function, -1.0, 1.0, units)
    error = approximation.largest_error(*built, function, -1.0, 1.0)
    # a step takes two samples' width, over which these functions move by at most 2π · 2 · 2^-17
    assert error <= variation / (2 * (units + 1)) + 2 * np.pi * 2**-16


@pytest.mark.parametrize(("name", "units"), [("sin 2πx", 32), ("exp x", 32), ("1 / (1 + 25x²)", 32), ("|x|", 512)])
def test_a_fitted_output_layer_needs_far_fewer_units(name, units):
    built = approximation.least_squares(CONTINUOUS[name], -1.0, 1.0, units)
    assert approximation.largest_error(*built, CONTINUOUS[name], -1.0, 1.0) < 1e-3


def test_two_variables():
    function = OF_TWO["exp(-2x² - 2z²)"]
    errors = [
        approximation.errors_of_two(
            *approximation.staircase_of_two(function, -1.0, 1.0, units), function, -1.0, 1.0, points=101
        ).max()
        for units in (8, 16)
    ]
    # a neighbouring cell is at most this far off: the gradient is at most 2 / √e, cells 2 / (U + 1) wide
    assert errors[0] < 2 * np.sqrt(2) * (2 / 9) * 2 / np.sqrt(np.e)
    assert errors[1] < 0.6 * errors[0]


def test_a_jump_in_two_variables_is_missed_in_ever_less_of_the_plane():
    function = OF_TWO["ring"]
    means = [
        approximation.errors_of_two(
            *approximation.staircase_of_two(function, -1.0, 1.0, units), function, -1.0, 1.0, points=101
        ).mean()
        for units in (4, 8, 16)
    ]
    assert means[0] > 2 * means[1] > 2.5 * means[2]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: approximation.staircase(np.sin, 0.0, 1.0, 0), r"^units: got 0; accepted"),
        (lambda: approximation.least_squares(np.sin, 1.0, 1.0, 4), r"^high: got 1.0 with low 1.0; accepted"),
        (lambda: approximation.staircase_of_two(np.hypot, 0.0, 1.0, True), r"^units: got True; accepted"),
        (lambda: approximation.units_for(np.sin, 0.0, 1.0, 0.0), r"^precision: got 0.0; accepted"),
    ],
)
def test_bad_input_is_named(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
