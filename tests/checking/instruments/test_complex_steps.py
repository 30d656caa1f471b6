"""Slopes by complex steps: where differences see another slope, and where the function is another one there."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import check_gradients

X = np.random.default_rng(0).normal(size=40)
ONCE = {"dtypes": ["float64"], "modes": ["eager"]}


def swinging(speed, factor=1.0):
    @tf.custom_gradient
    def swing(x):
        w = tf.cast(speed, x.dtype)
        return tf.sin(w * x), lambda dy: factor * dy * w * tf.cos(w * x)

    return lambda x: swing(x)


def of_absolute_values(x):
    """x², by an operation that takes complex numbers and is not analytic."""
    return x * tf.math.conj(x)


@tf.custom_gradient
def half_of_it(x):
    return of_absolute_values(x), lambda dy: dy * x


def inside_float32(factor):
    @tf.custom_gradient
    def tanh(x):
        y = tf.cast(tf.tanh(tf.cast(x, tf.float32)), x.dtype)
        return y, lambda dy: factor * dy * (1 - y * y)

    return lambda x: tanh(x)


@pytest.mark.parametrize("speed", [1e3, 1e4, 3e4, 1e5])
def test_what_swings_too_fast_for_differences_is_judged_rightly(speed):
    right, wrong = (check_gradients(swinging(speed, factor), [X], **ONCE) for factor in (1.0, 1.001))
    assert right.agrees, right
    assert not wrong.agrees
    assert wrong.findings[0].cause == "every element is too large by 1.0e-03 of itself: a constant of few digits"


def test_a_function_that_is_not_analytic_is_judged_by_differences():
    assert check_gradients(of_absolute_values, [X], **ONCE).agrees
    report = check_gradients(lambda x: half_of_it(x), [X], **ONCE)
    assert report.findings[0].cause == "a factor ½ too many, or 2 missing"


def test_maxima_that_a_direction_s_probes_cross_are_judged_by_their_elements():
    """Along this direction another number becomes the largest, and differences settle on a slope that is no side's."""
    x = np.random.default_rng(50).normal(size=(2, 5, 3))
    assert check_gradients(lambda x: tf.reduce_max(x, axis=1), [x], **ONCE).agrees


def test_what_computes_in_float32_inside_is_no_false_alarm():
    assert check_gradients(inside_float32(1.0), [X], **ONCE).agrees
    report = check_gradients(inside_float32(0.5), [X], **ONCE)
    assert report.findings[0].cause == "a factor ½ too many, or 2 missing"
