"""A last layer tied to the embeddings: the sum of what an untied network gives its table and its kernel, everywhere."""

import numpy as np
import pytest
import tensorflow as tf
from writings import MODES, compiled

from tfbp import Dense, Embedding, LinearCrossEntropy, Network, PositionEmbedding, Tokens, manual, reference, tape
from tfbp.agreement.problems import round_to
from tfbp.checking.differences import complex_step
from tfbp.network import map_weights

LOSS = "sparse_categorical_crossentropy"
BATCH = 4
# a table of more rows than there are tokens; the example's tokens stand several times
LAYERS = [Embedding(9, 5, embeddings_regularizer="l2"), PositionEmbedding(6), Dense(5, "tanh")]
NETWORK = Network(Tokens(6, 7), [*LAYERS, LinearCrossEntropy(9, use_bias=False, tied=True)], LOSS)
UNTIED = Network(Tokens(6, 7), [*LAYERS, Dense(9, use_bias=False)], LOSS)
TF_WRITINGS = {"manual": manual, "tape": tape}


def arguments(dtype="float64", weights="tokens"):
    rng = np.random.default_rng(5)
    parameters = map_weights(lambda w: round_to(w + 0.3 * rng.normal(size=w.shape), dtype), NETWORK.init(0))
    x, y = rng.integers(0, 7, (BATCH, 6)), rng.integers(0, 9, (BATCH, 6))
    return parameters, x, y, {"tokens": rng.random((BATCH, 6)), "examples": rng.random(BATCH), "none": None}[weights]


def of_untied(parameters, x, y, weight):
    """The loss, and the gradients of the tied network's parameters from those of the untied one."""
    kernel = parameters[0]["embeddings"].T
    loss, gradients = reference.loss_and_gradients(UNTIED, [*parameters[:-1], {"kernel": kernel}], x, y, weight)
    return loss, [{"embeddings": gradients[0]["embeddings"] + gradients[-1]["kernel"].T}, *gradients[1:-1], {}]


def assert_equal(got, expected, tolerance=1e-12):
    tf.nest.assert_same_structure(got, expected)
    for found, right in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
        assert np.shape(found) == np.shape(right)
        np.testing.assert_allclose(found, right, rtol=0, atol=tolerance)


@pytest.mark.parametrize("weights", ["tokens", "examples", "none"])
def test_the_reference_s_are_those_of_an_untied_network_added_up(weights):
    given = arguments(weights=weights)
    assert_equal(reference.loss_and_gradients(NETWORK, *given), of_untied(*given))


def test_the_reference_s_gradient_of_the_table_is_the_complex_step_s():
    parameters, *others = arguments()

    def loss_at(embeddings):
        return reference.loss_and_outputs(NETWORK, [{"embeddings": embeddings}, *parameters[1:]], *others)[0]

    _, gradients = reference.loss_and_gradients(NETWORK, parameters, *others)
    assert_equal(gradients[0]["embeddings"], complex_step(loss_at, parameters[0]["embeddings"]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", ["tokens", "examples", "none"])
@pytest.mark.parametrize("writing", TF_WRITINGS)
def test_loss_and_gradients_are_the_reference_s(writing, weights, mode):
    given = arguments(weights=weights)
    got = compiled(lambda: TF_WRITINGS[writing].loss_and_gradients(NETWORK, *given), mode)()
    assert_equal(got, reference.loss_and_gradients(NETWORK, *given))
    assert {g.dtype for g in tf.nest.flatten(got)} == {tf.float64}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_in_a_narrower_type_the_sum_is_as_precise_as_the_tape_s(dtype, mode):
    given = arguments(dtype)
    right = reference.loss_and_gradients(NETWORK, *given)[1][0]["embeddings"]
    errors = {}
    for name, writing in TF_WRITINGS.items():
        parameters = map_weights(lambda w: tf.constant(w, dtype), given[0])
        loss, gradients = compiled(lambda p=parameters, w=writing: w.loss_and_gradients(NETWORK, p, *given[1:]), mode)()
        assert (loss.dtype, gradients[0]["embeddings"].dtype) == ("float32", dtype)
        errors[name] = np.linalg.norm(tf.cast(gradients[0]["embeddings"], "float64") - right)
    assert errors["manual"] <= 2 * errors["tape"]


@pytest.mark.parametrize("writing", TF_WRITINGS)
def test_outputs_are_the_table_s_products(writing):
    parameters, x, *others = arguments()
    kernel = parameters[0]["embeddings"].T
    expected = reference.forward(UNTIED, [*parameters[:-1], {"kernel": kernel}], x)
    for each in (reference, TF_WRITINGS[writing]):
        assert_equal(each.forward(NETWORK, parameters, x), expected)
        assert_equal(each.loss_and_outputs(NETWORK, parameters, x, *others)[1], expected)


def test_parameters_are_left_as_they_were_given():
    given = arguments()
    for writing in (reference, manual, tape):
        writing.loss_and_gradients(NETWORK, *given)
        assert [sorted(layer) for layer in given[0]] == [["embeddings"], ["embeddings"], ["bias", "kernel"], []]
