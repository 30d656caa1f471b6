"""Central differences and their error estimate; complex steps, exact to rounding."""

import numpy as np

from tfbp.judging.differences import central_differences, complex_step


def test_the_error_estimate_of_a_difference_bounds_its_error():
    at = np.array([-3.0, -0.1, 0.2, 4.0])
    gradient, error = central_differences(lambda x: np.exp(x).sum(), at)
    assert (np.abs(gradient - np.exp(at)) <= error).all()
    assert (error < 1e-9 * np.exp(4)).all()


def test_the_complex_step_is_exact_to_rounding():
    at = np.array([-3.0, -0.1, 0.2, 4.0])
    np.testing.assert_allclose(complex_step(lambda x: np.exp(x).sum(), at), np.exp(at), rtol=4 * 2**-53)
