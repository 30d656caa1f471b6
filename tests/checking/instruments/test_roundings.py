"""What one operation is moved by: within its bound, nothing where it is exact, and never through the gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.checking.instruments.editing import edited, unoptimized
from tfbp.checking.instruments.roundings import DTYPES, Roundings

UNIT = 2.0**-24
WHICH = [float(dtype == "float32") for dtype in DTYPES]


def moved(function, *arrays, sample=1):
    """The function's result and its gradient for the first array, each operation rounded as in float32."""

    @tf.function(autograph=False)
    def run(seed, which, *tensors):
        with edited(Roundings("float64", seed, which, False).edit, complex_too=True), tf.GradientTape() as tape:
            tape.watch(tensors[0])
            result = function(*tensors)
        assert result.shape == function(*tensors).shape
        return result, tape.gradient(result, tensors[0])

    tensors = [tf.constant(array) for array in arrays]
    return [each.numpy() for each in run(tf.constant([sample, 0]), tf.constant(WHICH, tf.float64), *tensors)]


# an operation, how many 2⁻²⁴ of its result, or of the sum of absolute values, it is moved by, at most
BOUNDS = {
    "multiply": (tf.multiply, 1.25 * 1.4, np.multiply),
    "tanh": (lambda x, y: tf.tanh(x), 4 * 1.4, lambda x, y: np.tanh(x)),
    "matmul": (tf.matmul, (1.25 + 4) * 1.4, lambda x, y: np.abs(x) @ np.abs(y)),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_result_is_moved_by_no_more_than_its_operation_rounds(name, rng):
    function, most, size = BOUNDS[name]
    x, y = rng.normal(size=(2, 5, 5))
    right, _ = moved(function, x, y, sample=0)
    np.testing.assert_allclose(right, function(x, y), rtol=1e-15, atol=1e-15)
    off = np.max([np.abs(moved(function, x, y, sample=n)[0] - right) for n in range(1, 9)], axis=0)
    bound = most * UNIT * np.abs(size(x, y))
    assert (off <= bound).all()
    # eight draws come near the bound of most elements
    assert np.median(off / bound) > 0.25


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_integers_from_integers_are_exact(shape, rng):
    x = rng.integers(-9, 9, shape).astype(np.float64)
    result, gradient = moved(lambda x: x * x - 3 * x, x)
    np.testing.assert_array_equal(result, x * x - 3 * x)
    np.testing.assert_array_equal(gradient, 2 * x - 3)


def test_a_rounding_is_no_part_of_the_gradient(rng):
    x = rng.normal(size=(4, 3))
    result, gradient = moved(lambda x: tf.reduce_sum(tf.sin(x)), x)
    assert result != np.sin(x).sum()
    np.testing.assert_allclose(gradient, np.cos(x), rtol=1e-15)


def test_complex_results_are_moved_in_both_parts(rng):
    x = rng.normal(size=(4, 3))
    parts = moved(lambda x: tf.complex(x, x) * tf.complex(x, -x), x, sample=2)[0]
    right = (x + 1j * x) * (x - 1j * x)
    assert (np.abs(parts.real - right.real) > 0).all()
    assert (np.abs(parts.imag) > 0).all()
    assert np.abs(parts - right).max() <= 4 * UNIT * np.abs(right).max()


@pytest.mark.parametrize("before", [False, True], ids=["on", "off"])
def test_tensorflow_s_optimizer_is_put_back_also_after_an_exception(before):
    options = tf.config.optimizer
    found = options.get_experimental_options().get("disable_meta_optimizer", False)
    try:
        options.set_experimental_options({"disable_meta_optimizer": before})
        with pytest.raises(ValueError, match="True"), unoptimized():
            raise ValueError(options.get_experimental_options()["disable_meta_optimizer"])
        assert options.get_experimental_options()["disable_meta_optimizer"] is before
    finally:
        options.set_experimental_options({"disable_meta_optimizer": found})
