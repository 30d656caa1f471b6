"""The tolerances hold for ways to add up that only a GPU has, and would be broken without their terms."""

from dataclasses import replace

import numpy as np
import pytest

from tfbp.agreement.suites.linear_cross_entropy import expected
from tfbp.agreement.tolerances.formulas import activation_backward_error
from tfbp.judging.tolerances import Units, product_tolerance
from tfbp.vocabulary import Activation


def excess(error, tolerance):
    return float((np.abs(error) / tolerance).max())


def test_a_long_product_that_is_added_up_in_sequence(rng):
    # one large term, then many small ones: every step rounds at the large one's size
    a = np.concatenate([[[40.0]], rng.normal(size=(1, 6000)) * 0.01], axis=1).astype(np.float32)
    b = np.ones((6001, 1), np.float32)
    right = a.astype(np.float64) @ b
    got = np.cumsum(a[0], dtype=np.float32)[-1]
    units = replace(Units.of("float32", device="gpu"), out=0.0)
    assert excess(got - right, product_tolerance(lambda of: of(a) @ of(b), a @ b, units)) < 1
    assert Units.of("float32").in_sequence is False


@pytest.mark.parametrize("parts", [2, 8])
def test_16_bit_parts_of_a_long_product(parts, rng):
    a = rng.normal(size=(50, 1024)).astype(np.float16).astype(np.float64)
    b = rng.normal(size=(1024, 40)).astype(np.float16).astype(np.float64)
    each = [a[:, rows] @ b[rows] for rows in np.array_split(np.arange(1024), parts)]
    got = sum(part.astype(np.float16).astype(np.float64) for part in each).astype(np.float16)
    error = got.astype(np.float64) - a @ b
    assert excess(error, product_tolerance(lambda of: of(a) @ of(b), a @ b, Units.of("float16", device="gpu"))) < 1
    assert excess(error, product_tolerance(lambda of: of(a) @ of(b), a @ b, Units.of("float16"))) > 1


def tf32(array):
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)


def test_tf32_in_linear_cross_entropy(rng):
    x, kernel = (rng.normal(size=shape).astype(np.float32).astype(np.float64) for shape in ((13, 7), (7, 11)))
    labels = rng.integers(0, 11, 13)
    got = expected("float32", -1.75, tf32(x), tf32(kernel), labels)
    for on, accepts in ((True, lambda worst: worst < 1), (False, lambda worst: worst > 1)):
        right = expected("float32", -1.75, x, kernel, labels, tf32=on)
        pairs = list(zip(got.values, right.values, right.tolerances, strict=True))[:3]
        assert all(accepts(excess(value - other, limit)) for value, other, limit in pairs)


def test_dy_s_error_counts_where_z_may_lie_across_a_kink():
    dy, error_dy = np.array([[0.5]]), np.array([[0.01]])
    # z is -1e-4, and may be +1e-4: then dz is all of dy, with its error
    z, error_z = np.array([[-1e-4]]), np.array([[2e-4]])
    error = activation_backward_error(Activation("relu"), dy, z, Units.of("float32"), error_dy, error_z)
    assert error[0, 0] >= 0.51
