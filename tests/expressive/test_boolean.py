"""Every Boolean function of up to four inputs, built exactly; parity far beyond; what is learned."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import InputError, manual, reference
from tfbp.expressive import boolean, learning


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_every_function_is_built_exactly(n):
    tables = boolean.all_tables(n)
    assert len(np.unique(tables, axis=0)) == 2 ** (2**n)
    outputs = boolean.evaluate_many(boolean.construct_many(tables), boolean.truth_rows(n))
    np.testing.assert_array_equal(outputs, tables)
    units = boolean.hidden_units(tables)
    assert units.max() == 2 ** (n - 1)
    used = (boolean.construct_many(tables)[2] != 0).sum(axis=1)
    np.testing.assert_array_equal(used, units)


@pytest.mark.parametrize("writing", [reference, manual], ids=lambda writing: writing.__name__)
def test_a_single_function_is_a_network_of_this_library(writing):
    for table in [*boolean.all_tables(2), *boolean.all_tables(4)[::3001]]:
        network, parameters = boolean.construct(table)
        x = tf.constant(boolean.truth_rows(network.inputs))
        np.testing.assert_array_equal(np.asarray(writing.forward(network, parameters, x))[:, 0], table)
        assert network.layers[0].units == max(1, boolean.hidden_units(table[None])[0])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12])
def test_parity_takes_as_many_units_as_inputs(n):
    network, parameters = boolean.construct_parity(n)
    assert network.layers[0].units == n
    outputs = reference.forward(network, parameters, boolean.truth_rows(n))[:, 0]
    np.testing.assert_array_equal(outputs, boolean.parity_table(n))


@pytest.mark.parametrize("table", [[0, 1, 1], [1], [0, 2], [[0, 1]]], ids=str)
def test_what_is_no_truth_table_is_refused(table):
    with pytest.raises(InputError, match=r"^table: got .*; accepted: 2\^n values of 0 and 1"):
        boolean.construct(np.array(table))


def test_parity_of_no_inputs_is_refused():
    with pytest.raises(InputError, match=r"^n: got 0; accepted"):
        boolean.construct_parity(0)


def test_all_functions_of_two_inputs_are_learned():
    learned = learning.learn(boolean.all_tables(2), units=2, seeds=20)
    assert learned.shape == (16, 20)
    assert learned.any(axis=1).all()
    linearly_separable = np.delete(np.arange(16), [6, 9])
    assert learned[linearly_separable].mean() > 0.9


def test_without_a_hidden_unit_to_spare_xor_is_not_learned():
    assert not learning.learn(boolean.parity_table(2)[None], units=1, seeds=10).any()
