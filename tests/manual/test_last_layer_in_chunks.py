"""A network that ends in LinearCrossEntropy, by hand: the reference's numbers, from chunks, without the logits."""

import numpy as np
import pytest
import tensorflow as tf
from writings import compiled

from tfbp import (
    Dense,
    Embedding,
    LinearCrossEntropy,
    Network,
    PositionEmbedding,
    Reshape,
    Residual,
    Tokens,
    manual,
    reference,
)
from tfbp.manual import backprop
from tfbp.manual import linear_cross_entropy as head
from tfbp.manual.kinds import KINDS
from tfbp.network import Options, at, map_weights, named_weights

LOSS = "sparse_categorical_crossentropy"
MODES = ("graph", "xla")
BATCH = 3
TIED = LinearCrossEntropy(9, use_bias=False, tied=True)
NETWORKS = {
    "rows": Network(5, [Dense(4, "tanh"), LinearCrossEntropy(7)], LOSS),
    "tokens": Network(Tokens(6, 9), [Embedding(9, 5), Dense(4, "tanh"), LinearCrossEntropy(7)], LOSS),
    "table-and-head": Network(Tokens(6, 9), [Embedding(9, 5), LinearCrossEntropy(7, use_bias=False)], LOSS),
    "tied": Network(
        Tokens(6, 7),
        [Embedding(9, 5, embeddings_regularizer="l2"), PositionEmbedding(6), Dense(5, "tanh"), TIED],
        LOSS,
    ),
    "tied-table-and-head": Network(Tokens(6, 9), [Embedding(9, 5), TIED], LOSS),
    "tied-of-rank-4": Network(Tokens(6, 9), [Embedding(9, 5), Reshape((2, 3, 5)), TIED], LOSS),
    "alone": Network((2, 3, 5), [LinearCrossEntropy(7)], LOSS),
    "penalties": Network((6, 5), [Residual([Dense(5, "silu")]), LinearCrossEntropy(7, kernel_regularizer="l2")], LOSS),
}
CHUNKS = {"one-token": 1, "remainder": 5, "even": 6, "one-chunk": 256}
SCALE = 2.0**12


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_BYTES", 0)
    monkeypatch.setattr(head, "FEWEST_CLASSES", 3)
    monkeypatch.setattr(head, "FEWEST_TOKENS", 5)


def numbers(network, weights="tokens"):
    rng = np.random.default_rng(7)
    parameters = map_weights(lambda w: w + 0.3 * rng.normal(size=w.shape), network.init(0))
    shape = (BATCH, *network.input_shape)
    x = rng.integers(0, network.tokens.vocabulary, shape) if network.tokens else rng.normal(size=shape)
    y = rng.integers(0, network.outputs, (BATCH, *network.target_shape))
    weight = {"tokens": rng.random(y.shape), "examples": rng.random(BATCH), "none": None}[weights]
    return parameters, x, y, weight


def tensors(parameters, x, y, weight, dtype="float64"):
    wide = "float64" if dtype == "float64" else "float32"
    return (
        tf.nest.map_structure(lambda w: tf.constant(w, dtype), parameters),
        tf.constant(x, "int32" if x.dtype.kind == "i" else dtype),
        tf.constant(y, "int32"),
        None if weight is None else tf.constant(weight, wide),
    )


def assert_gradients(got, expected, tolerance=1e-12):
    for place, name, right in named_weights(expected):
        found = at(got, place)[name]
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, rtol=0, atol=tolerance, err_msg=f"{place} {name}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.sampled(11, chunk="remainder", mode="graph")
def test_loss_and_gradients_are_the_reference_s(monkeypatch, name, chunk, mode):
    monkeypatch.setattr(head, "FEWEST_TOKENS", CHUNKS[chunk])
    network, given = NETWORKS[name], numbers(NETWORKS[name])
    loss, gradients = compiled(lambda *given: manual.loss_and_gradients(network, *given), mode)(*tensors(*given))
    right, expected = reference.loss_and_gradients(network, *given)
    assert (loss.dtype, loss.shape) == ("float64", ())
    np.testing.assert_allclose(loss, right, rtol=1e-12)
    assert_gradients(gradients, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", ["tokens", "examples", "none"])
@pytest.mark.sampled(5, mode="graph")
def test_weights_of_tokens_of_examples_and_none(weights, mode):
    network = NETWORKS["tokens"]
    given = numbers(network, weights)

    def step(*given):
        return *manual.loss_and_gradients(network, *given), *manual.loss_and_outputs(network, *given)

    loss, gradients, *validated = compiled(step, mode)(*tensors(*given))
    right, expected = reference.loss_and_gradients(network, *given)
    np.testing.assert_allclose(loss, right, rtol=1e-12)
    assert_gradients(gradients, expected)
    for a, b in zip(validated, reference.loss_and_outputs(network, *given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.sampled(5, mode="graph")
def test_every_tensor_on_the_way_is_there_for_those_who_ask(name, mode):
    network, given = NETWORKS[name], numbers(NETWORKS[name])
    found = compiled(lambda *given: manual.loss_gradients_and_tensors(network, *given)[2], mode)(*tensors(*given))
    right = reference.loss_gradients_and_tensors(network, *given)[2]
    for layer, expected in zip(found, right, strict=True):
        for each in ("x", "z", "y", "dy", "dz", "outputs", "losses", "dlosses", "doutputs"):
            assert (each in layer) == (each in expected)
            if each in layer:
                np.testing.assert_allclose(layer[each], expected[each], rtol=1e-12, atol=1e-12, err_msg=each)


def with_a_loss_scale(mode):
    network, given = NETWORKS["penalties"], numbers(NETWORKS["penalties"])
    loss, gradients = compiled(
        lambda *given: manual.scaled_pass(network, *given, Options(loss_scale=tf.constant(SCALE)))[:2], mode
    )(*tensors(*given))
    right, expected = reference.loss_and_gradients(network, *given)
    np.testing.assert_allclose(loss, right, rtol=1e-12)
    assert_gradients(gradients, tf.nest.map_structure(lambda g: SCALE * g, expected), SCALE * 1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_scale_is_in_the_gradients_once_and_not_in_the_loss(mode):
    with_a_loss_scale(mode)


@pytest.mark.parametrize("times", [0, 2], ids=["left-out", "twice"])
def test_a_wrong_number_of_loss_scales_is_seen(monkeypatch, times):
    right = backprop._scaled
    monkeypatch.setattr(backprop, "_scaled", lambda g, scale, dtype: right(g, scale**times, dtype))
    with pytest.raises(AssertionError, match="kernel"):
        with_a_loss_scale("graph")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.sampled(5)
def test_gradients_are_of_the_parameters_dtype_and_the_loss_is_float32(dtype, mode):
    network, given = NETWORKS["tokens"], numbers(NETWORKS["tokens"])
    loss, gradients = compiled(lambda *given: manual.loss_and_gradients(network, *given), mode)(
        *tensors(*given, dtype=dtype)
    )
    assert loss.dtype == "float32"
    assert {g.dtype.name for g in tf.nest.flatten(gradients)} == {dtype}
    right, expected = reference.loss_and_gradients(network, *given)
    near = 1e-6 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(loss, right, rtol=near)
    for place, name, g in named_weights(expected):
        found = tf.cast(at(gradients, place)[name], "float64")
        assert np.linalg.norm(found - g) < near * np.linalg.norm(g)


@pytest.mark.parametrize("mode", MODES)
def test_a_clipped_example_is_the_reference_s(mode):
    network, given = NETWORKS["rows"], numbers(NETWORKS["rows"])
    got = compiled(lambda p, x, y, w: manual.per_example.loss_and_clipped_gradients(network, p, x, y, 0.3, w), mode)(
        *tensors(*given)
    )
    p, x, y, w = given
    loss, expected = reference.per_example.loss_and_clipped_gradients(network, p, x, y, 0.3, w)
    np.testing.assert_allclose(got[0], loss, rtol=1e-12)
    assert_gradients(got[1], expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", [-1, 7])
@pytest.mark.sampled(1)
def test_a_label_that_is_no_class_makes_the_loss_nan(label, mode):
    network, (parameters, x, y, weight) = NETWORKS["rows"], numbers(NETWORKS["rows"])

    def step(labels, parameters, x, weight):
        # unknown while it is traced, where a label can be looked at
        return manual.loss_and_gradients(network, parameters, x, labels, weight)

    p, x, y, weight = tensors(parameters, x, y, weight)
    y = tf.concat([y[:-1], [label]], axis=0)
    loss, gradients = compiled(step, mode)(y, p, x, weight)
    assert np.isnan(loss)
    assert np.isnan(gradients[-1]["kernel"]).all()


TOKENS, CLASSES, CHUNK = 23, 96, 8
LONG = Network(Tokens(TOKENS, 40), [Embedding(40, 5), Dense(4, "tanh"), LinearCrossEntropy(CLASSES)], LOSS)
LONG_TIED = Network(
    Tokens(TOKENS, CLASSES),
    [Embedding(CLASSES, 4), Dense(4, "tanh"), LinearCrossEntropy(CLASSES, use_bias=False, tied=True)],
    LOSS,
)
PLAIN = Network(Tokens(TOKENS, 40), [Embedding(40, 5), Dense(4, "tanh"), Dense(CLASSES)], LOSS)


def long_arguments(network=LONG):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 40, (BATCH, TOKENS)), rng.integers(0, CLASSES, (BATCH, TOKENS))
    return tensors(network.init(0), x, y, rng.random(y.shape), "float32")


@pytest.mark.parametrize("what", ["loss_and_gradients", "loss_and_outputs"])
@pytest.mark.sampled(2)
def test_under_xla_no_tensor_has_the_size_of_the_logits(monkeypatch, what):
    monkeypatch.setattr(head, "FEWEST_TOKENS", CHUNK)
    wanted = slice(None) if what == "loss_and_gradients" else slice(1)

    def sizes(network):
        step = compiled(lambda *given: getattr(manual, what)(network, *given)[wanted], "xla")
        hlo = step.experimental_get_compiler_ir(*long_arguments(network))(stage="optimized_hlo")
        block = CLASSES // head.BLOCKS
        shapes = f"f32[{CHUNK},{block}]", f"f32[{BATCH * TOKENS},{CLASSES}]", f"f32[{BATCH},{TOKENS},{CLASSES}]"
        return [shape in hlo for shape in shapes]

    assert sizes(LONG) == sizes(LONG_TIED) == [True, False, False]
    assert any(sizes(PLAIN)[1:])


@pytest.mark.parametrize("network", [LONG, LONG_TIED], ids=["own-kernel", "tied"])
@pytest.mark.parametrize("batch", [BATCH, None], ids=["known", "unknown"])
@pytest.mark.sampled(3)
def test_in_a_graph_the_logits_are_cut_out(monkeypatch, batch, network):
    """A z that fails where it is run: it does not run, unless somebody asks for the outputs."""
    right = head.forward

    def trapped(layer, weights, x, **options):
        z, residuals, new = right(layer, weights, x, **options)
        return z + tf.gather(tf.zeros(1), tf.size(z)), residuals, new

    given = long_arguments(network)
    _, expected = manual.loss_and_gradients(network, *given)
    monkeypatch.setitem(KINDS, "LinearCrossEntropy", (trapped, head.backward))
    parameters, *others = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), given)
    others = [tf.TensorSpec([batch, TOKENS], spec.dtype) for spec in others]

    def of(what, *wanted):
        step = tf.function(
            lambda *given: tuple(getattr(manual, what)(network, *given)[i] for i in wanted),
            input_signature=[parameters, *others],
            autograph=False,
        )
        return step(*given)

    _, gradients = of("loss_and_gradients", 0, 1)
    assert_gradients(gradients, expected, 1e-6)
    assert np.isfinite(of("loss_and_outputs", 0)[0])
    for what, asked in (("loss_and_outputs", 1), ("loss_gradients_and_tensors", 2)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            of(what, asked)
