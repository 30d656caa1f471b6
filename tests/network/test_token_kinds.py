"""Networks of tokens: shapes, weights, JSON, Keras both ways, bad input, and whole networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import Dense, Embedding, Flatten, InputError, Network, Residual, Tokens, manual, reference, tape
from tfbp.agreement.cases import cases_of
from tfbp.agreement.problems import problem
from tfbp.bridge.layers import layer_from_keras
from tfbp.bridge.models import OTHER_WAYS
from tfbp.network import at, embedding, linear_cross_entropy, named_weights, position
from tfbp.reference.optimizers import optimizer
from tfbp.reference.trainer import Trainer

WRITINGS = {"reference": reference, "manual": manual, "tape": tape}
CASES = {case.name.split("-B")[0]: case for case in cases_of(embedding, position, linear_cross_entropy)}
LOSS = "sparse_categorical_crossentropy"
LAYERS = [Embedding(7, 5), Dense(4, "tanh"), Dense(7)]
NETWORK = Network(Tokens(6, 7), LAYERS, LOSS)
RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 7, (11, 6)), RNG.integers(0, 7, (11, 6))


@pytest.mark.parametrize("name", CASES)
def test_a_network_goes_through_json_and_keras(name):
    network, numbers = CASES[name].network, problem(CASES[name], "float64")
    assert Network.from_json(network.to_json()) == network
    model = network.to_keras(numbers.parameters, dtype="float64")
    expected = reference.forward(network, numbers.parameters, numbers.x)
    np.testing.assert_allclose(model(numbers.x), expected, rtol=1e-12, atol=1e-12)
    back, parameters = Network.from_keras(model, network.loss)
    # Keras's table may have more rows than there are tokens
    assert back.tokens == Tokens(network.tokens.length, network.layers[0].input_dim)
    np.testing.assert_array_equal(reference.forward(back, parameters, numbers.x), expected)


def test_tokens_are_told_in_repr_and_shape():
    assert repr(NETWORK) == (
        "<Network Tokens(length=6, vocabulary=7): Embedding (6, 5), Dense (6, 4), Dense (6, 7); "
        "sparse_categorical_crossentropy>"
    )
    assert (NETWORK.input_shape, NETWORK.output_shape, NETWORK.target_shape) == ((6,), (6, 7), (6,))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_the_embeddings_dtype_is_that_of_the_computation(dtype):
    parameters = tf.nest.map_structure(lambda w: tf.cast(w, dtype), NETWORK.init(0))
    for writing in (manual, tape):
        for kind in ("int32", "uint8"):
            assert writing.forward(NETWORK, parameters, X.astype(kind)).dtype == dtype
        loss, gradients = writing.loss_and_gradients(NETWORK, parameters, X, Y, np.ones(11))
        assert loss.dtype == ("float64" if dtype == "float64" else "float32")
        assert {g.dtype for g in tf.nest.flatten(gradients)} == {tf.as_dtype(dtype)}


@pytest.mark.parametrize(("gradients", "jit_compile"), [("manual", True), ("tape", False)])
def test_fit_follows_the_reference(gradients, jit_compile):
    model = tfbp.Model(NETWORK, gradients, dtype="float64")
    model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"], jit_compile=jit_compile)
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    trainer = Trainer(NETWORK, NETWORK.init(0), optimizer("adam", 0.01), X, Y)
    for epoch in range(2):
        trainer.train_epoch(np.random.default_rng([0, epoch]).permutation(11), 5)
    got, expected = model.get_parameters(), trainer.parameters()
    for place, name, w in named_weights(expected):
        np.testing.assert_allclose(at(got, place)[name], w, rtol=0, atol=1e-12, err_msg=f"{place} {name}")
    np.testing.assert_allclose(
        model.predict(X, verbose=0), reference.forward(NETWORK, expected, X), rtol=1e-6, atol=1e-6
    )


def test_a_model_computes_in_its_policy_s_dtype_and_is_saved(tmp_path):
    model = tfbp.Model(NETWORK, dtype="mixed_bfloat16")
    assert (model(X).dtype, model.layer_weights[0].parameters["embeddings"].dtype) == ("bfloat16", "float32")
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(X), model(X))


def test_single_examples_have_gradients_by_hand_and_by_tape(rng):
    x = X % 3  # tokens that stand several times in an example
    arguments = NETWORK, NETWORK.init(0), x, Y, rng.random((11, 6))
    for name in ("gradient_norms", "gradient_mean_and_variance"):
        expected = tf.nest.flatten(getattr(reference.per_example, name)(*arguments))
        for got, right in zip(tf.nest.flatten(getattr(manual.per_example, name)(*arguments)), expected, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-11, atol=1e-16)
    expected = reference.per_example.loss_and_clipped_gradients(*arguments[:4], 0.1, arguments[4])
    for writing in (manual, tape):
        got = writing.per_example.loss_and_clipped_gradients(*arguments[:4], 0.1, arguments[4])
        for ours, right in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("writing", ["manual", "tape"])
def test_what_is_no_token_is_nan_in_a_program(writing):
    """XLA would take the nearest row."""
    parameters = NETWORK.init(0)
    run = tf.function(lambda x: WRITINGS[writing].forward(NETWORK, parameters, x), jit_compile=True, autograph=False)
    y = run(tf.constant([[0, 1, 7, 3, -1, 6]])).numpy()
    assert np.isnan(y[0]).all(axis=-1).tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (X + 1, "x: got the token 7 at [0, 0]; accepted: tokens from 0 to 6."),
        (X - 1, "x: got the token -1 at [1, 0]; accepted: tokens from 0 to 6."),
        (X * 1.0, "x: got dtype float64; accepted: integers, tokens from 0 to 6."),
        (X[:, 1:], "x: got shape (11, 5); accepted: (B, 6) with a batch B of at least 1."),
    ],
    ids=["high", "negative", "floats", "length"],
)
def test_what_is_no_token_is_refused_in_a_sentence(writing, x, sentence):
    with pytest.raises(InputError) as caught:
        WRITINGS[writing].forward(NETWORK, NETWORK.init(0), x)
    assert str(caught.value).split(" at ")[0] == sentence.split(" at ")[0]
    model = tfbp.Model(NETWORK)
    model.compile("sgd")
    with pytest.raises(InputError) as again:
        model.fit(x, Y, verbose=0)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Tokens(0, 7), "length: got 0; accepted: an integer of at least 1."),
        (lambda: Tokens(6, 1.5), "vocabulary: got 1.5; accepted: an integer of at least 1."),
        (lambda: Embedding(0, 5), "input_dim: got 0; accepted: an integer of at least 1."),
        (lambda: Embedding(7, None), "output_dim: got None; accepted: an integer of at least 1."),
        (
            lambda: Network(Tokens(6, 8), LAYERS, LOSS),
            "layers[0]: input_dim: got 7; accepted: 8 or more, for Tokens(length=6, vocabulary=8).",
        ),
        (
            lambda: Network(Tokens(6, 7), LAYERS[1:], LOSS),
            "layers[0]: got Dense on Tokens(length=6, vocabulary=7); accepted: a tfbp.Embedding.",
        ),
        (
            lambda: Network(6, LAYERS, LOSS),
            "layers[0]: got Embedding; accepted: as the first layer of a network of tfbp.Tokens only.",
        ),
        (
            lambda: Network(Tokens(6, 7), [*LAYERS, Residual([Flatten(), Embedding(7, 5)])], LOSS),
            "layers[3.layers.1]: got Embedding; accepted: as the first layer of a network of tfbp.Tokens only.",
        ),
        (
            lambda: layer_from_keras(keras.layers.Embedding(7, 5, mask_zero=True, name="mine")),
            "model: 'mine': mask_zero: got True; accepted: False.",
        ),
        (
            lambda: layer_from_keras(keras.layers.Embedding(7, 5, embeddings_constraint="non_neg", name="mine")),
            "model: got 'mine' with embeddings_constraint; accepted: Embedding without it.",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).removesuffix(" " + OTHER_WAYS) == sentence
