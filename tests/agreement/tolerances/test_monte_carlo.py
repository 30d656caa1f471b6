"""Measured tolerances: held against the rule of a product, and against what is actually wrong."""

import numpy as np
import pytest

from tfbp import manual, reference, tape
from tfbp.agreement.arguments import typed
from tfbp.agreement.cases import all_cases, cases_of
from tfbp.agreement.matrix import Cell, in_order
from tfbp.agreement.problems import DTYPES, problem
from tfbp.agreement.tolerances.monte_carlo import Rounding, plain, sensitivity
from tfbp.agreement.tolerances.whole_pass import errors_of_the_pass
from tfbp.judging.tolerances import Units, product_tolerance
from tfbp.network import residual, shapes

DENSE = (
    "square",
    "deep5",
    "no-bias",
    "regularized",
    "binary",
    "softmax-",
    "gelu-B",
    "tanh_shrink",
    "threshold",
    "relu6",
)
CASES = [case for case in all_cases() if case.name.startswith(DENSE)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_on_dense_networks_it_covers_what_is_wrong(case, dtype):
    numbers, network = problem(case, dtype), case.network
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    right = reference.loss_gradients_and_tensors(network, *arguments)
    fed = typed(Cell(case, dtype, "eager"), *arguments).values()
    for name, writing in {"manual": manual, "tape": tape}.items():
        measured = in_order(network, *errors_of_the_pass(network, numbers, Units.of(dtype, name), {}))
        got = in_order(network, *writing.loss_gradients_and_tensors(network, *fed))
        for tensor, value in in_order(network, *right).items():
            if tensor in got:
                error = np.abs(np.asarray(got[tensor]).astype(np.float64) - value)
                assert (error <= measured[tensor]).all(), tensor


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_one_product_it_finds_what_the_rule_says(dtype):
    """Of the size of T = 8 u_acc S + u_out |A·B|: nothing adds up here, and nothing has had the depth to cancel."""
    rng, units = np.random.default_rng(0), Units.of(dtype)
    a, b = rng.normal(size=(33, 64)), rng.normal(size=(64, 10))
    measured = sensitivity(lambda noise: {"c": noise.on(a) @ noise.on(b)}, {"c": a @ b}, units)["c"]
    assert 0.25 < rms(measured) / rms(product_tolerance(lambda of: of(a) @ of(b), a @ b, units)) < 4


def test_every_operation_is_wrong_but_those_that_are_exact():
    noise = Rounding(Units.of("float32"), 0)
    a = np.random.default_rng(1).normal(size=(5, 4)) + 3
    wrong = {
        "sum": lambda a: a.sum(axis=0),
        "mean": lambda a: a.mean(axis=1),
        "variance": lambda a: a.var(axis=1),
        "product": lambda a: a @ a.T,
        "einsum": lambda a: np.einsum("bi,bo->io", a, a),
        "tensordot": lambda a: np.tensordot(a, a, (0, 0)),
        "quotient": lambda a: 1 / np.sqrt(a),
        "in place": into_zeros,
    }
    exact = {
        "maximum": lambda a: np.maximum(a, 3.0),
        "largest": lambda a: a.max(axis=0),
        "moves": lambda a: np.pad(a.reshape(2, 10).T, 1)[1:-1, 1:-1],
        "choice": lambda a: np.where(a > 3, a, -a),
    }
    for name, function in wrong.items():
        error = np.abs(plain(function(noise.on(a))) / function(a) - 1)
        assert (error > 0).all(), name
        assert error.max() < 64 * 2**-24, name
    for name, function in exact.items():
        np.testing.assert_array_equal(plain(function(noise.on(a))), function(a), err_msg=name)


def into_zeros(a):
    out = np.zeros(a.shape)
    out[...] += a
    out[1:] += a[:-1] * 2
    return out


def test_a_tolerance_follows_the_dtype_and_the_sum_s_length():
    def limit(dtype, length):
        x = np.random.default_rng(2).normal(size=(3, length))
        return rms(
            sensitivity(lambda noise: {"y": noise.on(x).sum(axis=1)}, {"y": x.sum(axis=1)}, Units.of(dtype))["y"]
        )

    assert limit("float64", 100) < 1e-7 * limit("float32", 100)
    assert 4 < limit("float32", 1000) / limit("float32", 100) < 25


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_networks_with_parts_have_tolerances_of_every_tensor(dtype):
    for case in cases_of(shapes, residual):
        numbers = problem(case, dtype)
        arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
        right = in_order(case.network, *reference.loss_gradients_and_tensors(case.network, *arguments))
        found = in_order(case.network, *errors_of_the_pass(case.network, numbers, Units.of(dtype), {}))
        assert {name: np.shape(value) for name, value in found.items()} == {
            name: np.shape(value) for name, value in right.items()
        }


def rms(array):
    return float(np.sqrt(np.mean(np.square(array))))
