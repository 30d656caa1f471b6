"""A last layer tied to the embeddings: the sum of what an untied network gives its table and its kernel, everywhere."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from writings import MODES, compiled

from tfbp import (
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    LinearCrossEntropy,
    Network,
    PositionEmbedding,
    Reshape,
    Residual,
    Tokens,
    manual,
    reference,
    tape,
)
from tfbp.agreement.problems import round_to
from tfbp.judging.differences import complex_step
from tfbp.manual import per_example
from tfbp.manual.tied import tied_squares
from tfbp.network import Options, map_weights

LOSS = "sparse_categorical_crossentropy"
BATCH = 4
# a table of more rows than there are tokens; the example's tokens stand several times
LAYERS = [Embedding(9, 5, embeddings_regularizer="l2"), PositionEmbedding(6), Dense(5, "tanh")]
NETWORK = Network(Tokens(6, 7), [*LAYERS, LinearCrossEntropy(9, use_bias=False, tied=True)], LOSS)
PER_EXAMPLE = {
    "dense": NETWORK,
    "table-and-head": Network(Tokens(6, 9), [Embedding(9, 5), NETWORK.layers[-1]], LOSS),
    "residual": Network(Tokens(6, 9), [Embedding(9, 6), Residual([Dense(6, "silu")]), NETWORK.layers[-1]], LOSS),
    "a-row-an-example": Network(Tokens(6, 9), [Embedding(9, 5), GlobalAveragePooling1D(), NETWORK.layers[-1]], LOSS),
    "rank-4": Network(Tokens(6, 9), [Embedding(9, 5), Reshape((2, 3, 5)), NETWORK.layers[-1]], LOSS),
}
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
@pytest.mark.sampled(5, mode="eager")
def test_loss_and_gradients_are_the_reference_s(writing, weights, mode):
    given = arguments(weights=weights)
    got = compiled(lambda: TF_WRITINGS[writing].loss_and_gradients(NETWORK, *given), mode)()
    assert_equal(got, reference.loss_and_gradients(NETWORK, *given))
    assert {g.dtype for g in tf.nest.flatten(got)} == {tf.float64}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.sampled(1)
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


def example_answers(writing, network, given, clip):
    """Norms, the clipped gradients and the moments of the examples' own."""
    *others, weight = given
    room = writing.per_example
    return {
        "norms": room.gradient_norms(network, *given),
        "clipped": room.loss_and_clipped_gradients(network, *others, clip, weight),
        "moments": room.gradient_mean_and_variance(network, *given),
    }


def example_arguments(network, weights="tokens"):
    rng = np.random.default_rng(2)
    parameters = map_weights(lambda w: w + 0.3 * rng.normal(size=w.shape), network.init(0))
    x = rng.integers(0, network.tokens.vocabulary, (BATCH, 6))
    y = rng.integers(0, 9, (BATCH, *network.target_shape))
    return parameters, x, y, {"tokens": rng.random(y.shape), "examples": rng.random(BATCH), "none": None}[weights]


def assert_examples_agree(name, weights="tokens", mode="eager", writing=manual):
    network, given = PER_EXAMPLE[name], example_arguments(PER_EXAMPLE[name], weights)
    norms = reference.per_example.gradient_norms(network, *given)
    # at a last layer without weights, 0
    assert not norms[:, -1].any()
    clip = 0.9 * np.median(np.linalg.norm(norms, axis=1))
    got = compiled(lambda: example_answers(writing, network, given, clip), mode)()
    expected = example_answers(reference, network, given, clip)
    for each in expected:
        assert_equal(got[each], expected[each])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PER_EXAMPLE)
@pytest.mark.sampled(4, mode="eager")
def test_examples_own_gradients_are_the_reference_s(name, mode):
    assert_examples_agree(name, mode=mode)


@pytest.mark.parametrize("weights", ["examples", "none"])
def test_examples_own_gradients_under_other_weights(weights):
    assert_examples_agree("dense", weights)


def test_examples_own_gradients_by_tape():
    assert_examples_agree("dense", writing=tape)


def with_a_loss_scale(loss_scale):
    given = example_arguments(NETWORK)
    plain = manual.loss_gradients_and_tensors(NETWORK, *given)
    scaled = manual.scaled_pass(NETWORK, *given, Options(loss_scale=loss_scale))
    # a power of two scales without rounding
    tf.nest.map_structure(lambda g, right: np.testing.assert_array_equal(g, right * loss_scale), scaled[1], plain[1])
    for room in (per_example.norms_from, per_example.moments_from):
        tf.nest.map_structure(
            np.testing.assert_array_equal, room(NETWORK, scaled[2], loss_scale), room(NETWORK, plain[2])
        )


@pytest.mark.parametrize("loss_scale", [1024.0, 2.0**-10])
def test_a_loss_scale_is_in_neither_norms_nor_moments(loss_scale):
    with_a_loss_scale(loss_scale)


def test_a_loss_scale_that_the_product_has_once_is_seen(monkeypatch):
    right = per_example.tied_moments

    def once(network, tensors, undo, *sums):
        return right(network, tensors, tf.sqrt(undo), *sums)

    monkeypatch.setattr(per_example, "tied_moments", once)
    with pytest.raises(AssertionError):
        with_a_loss_scale(1024.0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_examples_own_gradients_in_a_narrower_type(dtype):
    given = arguments(dtype)
    parameters = map_weights(lambda w: tf.constant(w, dtype), given[0])
    found = example_answers(manual, NETWORK, (parameters, *given[1:]), 0.1)
    expected = example_answers(reference, NETWORK, given, 0.1)
    near = {"float32": 1e-6, "bfloat16": 3e-2, "float16": 4e-3}[dtype]
    assert (found["norms"].dtype, found["clipped"][1][0]["embeddings"].dtype) == ("float32", dtype)
    for got, right in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert np.linalg.norm(tf.cast(got, "float64") - right) <= near * np.linalg.norm(right)


def test_uses_that_cancel_do_not_escape_the_bound_by_rounding(rng):
    """Each is 1e4 long; their sum is 0 up to its rounding, which a clip has to reckon with."""
    a = tf.constant(1e4 * rng.normal(size=(1, 1, 3)), tf.float32)
    network = SimpleNamespace(tied=True, layers=[None, None])
    tensors = [{"x": tf.constant([[0]]), "dz": a}, {"x": -a, "dz": tf.constant([[[1.0, 0.0]]])}]
    of_one = tf.reduce_sum(a * a, axis=[1, 2])
    (both, last) = tied_squares(network, tensors, [of_one, of_one])
    assert np.all(both.numpy() > 2.0**-24 * of_one.numpy())
    assert np.all(both.numpy() < 2.0**-19 * of_one.numpy())
    np.testing.assert_array_equal(last, [0.0])
