"""The last dense layer that is one with its loss: JSON, Keras both ways, where a network takes it, and bad input."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import Dense, Embedding, InputError, LinearCrossEntropy, Network, Residual, Tokens, manual, reference, tape
from tfbp.bridge.layers import layer_from_keras
from tfbp.bridge.models import OTHER_WAYS
from tfbp.network import kinds

LOSS = "sparse_categorical_crossentropy"
WRITINGS = {"reference": reference, "manual": manual, "tape": tape}
OPTIONS = {"use_bias": False, "kernel_initializer": "he_normal", "kernel_regularizer": "l2"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4, 5))


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["by-default", "options"])
def test_it_is_a_dense_layer_to_keras_and_in_every_writing(options):
    network = Network((4, 5), [Dense(3, "tanh"), LinearCrossEntropy(7, **options)], LOSS)
    dense = Network((4, 5), [Dense(3, "tanh"), Dense(7, "linear", **options)], LOSS)
    parameters = network.init(0)
    assert network.parameter_shapes() == dense.parameter_shapes()
    for name, w in dense.init(0)[1].items():
        np.testing.assert_array_equal(parameters[1][name], w)
    assert Network.from_json(network.to_json()) == network
    model = network.to_keras(parameters, dtype="float64")
    assert type(model.layers[-1]) is keras.layers.Dense
    back, same = Network.from_keras(model, LOSS)
    assert back == Network.from_keras(dense.to_keras(parameters, dtype="float64"), LOSS)[0]
    expected = reference.forward(dense, parameters, X)
    for each in WRITINGS.values():
        np.testing.assert_allclose(each.forward(network, parameters, X), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(reference.forward(back, same, X), expected)


def test_by_hand_in_keras_it_is_a_hand_written_dense_layer():
    network = Network((4, 5), [LinearCrossEntropy(7)], LOSS)
    assert type(network.to_keras(network.init(0), layers=tfbp.layers).layers[-1]) is tfbp.layers.Dense


def test_a_keras_model_with_the_layer_of_tfbp_layers_is_taken():
    inputs = keras.Input((4, 5), dtype="float64")
    model = keras.Model(inputs, tfbp.layers.LinearCrossEntropy(7, kernel_regularizer="l2", dtype="float64")(inputs))
    network, parameters = Network.from_keras(model, LOSS)
    (layer,) = network.layers
    assert (type(layer), layer.units, layer.kernel_regularizer) == (LinearCrossEntropy, 7, tfbp.L1L2(l2=0.01))
    np.testing.assert_allclose(reference.forward(network, parameters, X), model(X), rtol=1e-12, atol=1e-12)


def test_a_network_tells_it():
    assert kinds()["LinearCrossEntropy"] is LinearCrossEntropy
    assert repr(Network(5, [LinearCrossEntropy(7)], LOSS)) == f"<Network (5): LinearCrossEntropy (7); {LOSS}>"
    assert "LinearCrossEntropy" in Network(5, [Dense(3), LinearCrossEntropy(7)], LOSS).draw().svg


TIED = LinearCrossEntropy(7, use_bias=False, tied=True)


def test_tied_it_has_no_weights_and_leaves_others_theirs():
    layers = [Embedding(7, 5), Dense(5, "tanh")]
    network = Network(Tokens(6, 7), [*layers, TIED], LOSS)
    own = Network(Tokens(6, 7), [*layers, LinearCrossEntropy(7, use_bias=False)], LOSS)
    assert (network.tied, own.tied, Network(5, [Dense(7)], LOSS).tied) == (True, False, False)
    assert network.parameter_shapes() == [*own.parameter_shapes()[:2], {}]
    for got, expected in zip(network.init(3)[:2], own.init(3)[:2], strict=True):
        for name, w in expected.items():
            np.testing.assert_array_equal(got[name], w)
    assert Network.from_json(network.to_json()) == network != own
    before = own.to_json().replace(',\n   "tied": false', "")
    assert "tied" not in before
    assert Network.from_json(before) == own


def in_keras(layers=keras.layers):
    network = Network(
        Tokens(6, 7), [Embedding(7, 5, embeddings_regularizer="l2"), Residual([Dense(5, "tanh")]), TIED], LOSS
    )
    return network, network.to_keras(network.init(2), dtype="float64", layers=layers)


def test_tied_it_is_the_second_call_of_a_reversible_embedding(rng):
    network, model = in_keras()
    table = model.layers[1]
    assert type(table) is keras.layers.ReversibleEmbedding
    assert [w.name for w in model.weights] == ["embeddings", "kernel", "bias"]
    x = rng.integers(0, 7, (4, 6))
    np.testing.assert_allclose(model(x), reference.forward(network, network.init(2), x), rtol=1e-12, atol=1e-12)
    back, parameters = Network.from_keras(model, LOSS)
    assert (back.layers[-1], back.layers[0].embeddings_regularizer) == (TIED, tfbp.L1L2(l2=0.01))
    assert Network.from_keras(back.to_keras(parameters), LOSS)[0] == back
    for got, expected in zip(tf.nest.flatten(parameters), tf.nest.flatten(network.init(2)), strict=True):
        np.testing.assert_array_equal(got, expected)
    ours = tfbp.Model.from_keras(model, LOSS)
    np.testing.assert_allclose(ours(x), model(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.to_keras()(x), model(x), rtol=1e-12, atol=1e-12)


def reversible(call=None, **options):
    """A Keras model of tokens with a table that is called as told, or twice."""
    tokens = keras.Input((6,), dtype="int32")
    table = keras.layers.ReversibleEmbedding(7, 5, name="table", **options)
    hidden = keras.layers.Dense(5, "tanh")(table(tokens))
    return keras.Model(tokens, table(hidden, reverse=True) if call is None else call(table, hidden))


def test_a_model_that_others_made_is_taken():
    network, parameters = Network.from_keras(reversible(), LOSS)
    assert [type(layer) for layer in network.layers] == [Embedding, Dense, LinearCrossEntropy]
    assert (network.layers[-1], network.tokens) == (TIED, Tokens(6, 7))
    assert Network.from_keras(network.to_keras(parameters), LOSS)[0] == network


@pytest.mark.parametrize("options", [{}, {"reverse": False}], ids=["plain", "told-so"])
def test_a_reversible_embedding_that_is_not_reversed_is_an_embedding(options):
    tokens, table = keras.Input((6,), dtype="int32"), keras.layers.ReversibleEmbedding(7, 5)
    model = keras.Model(tokens, keras.layers.Dense(7)(table(tokens, **options)))
    for each in (model, keras.Sequential([keras.Input((6,), dtype="int32"), *model.layers[1:]])):
        network, _ = Network.from_keras(each, LOSS)
        assert (network.tied, [type(layer) for layer in network.layers]) == (False, [Embedding, Dense])


REVERSED = "model: got 'table' called with reverse=True; accepted: as the last layer, where it is the first too."


def twice_reversed(table, x):
    return table(keras.layers.Dense(5)(table(x, reverse=True)), reverse=True)


def of_another(table, x):
    return keras.layers.Activation("softmax")(table(x, reverse=True))


def in_an_addition(table, x):
    return keras.layers.Add()([table(x, reverse=True), keras.layers.Dense(7)(x)])


def alone():
    x = keras.Input((6, 5))
    return keras.Model(x, keras.layers.ReversibleEmbedding(7, 5, name="table")(x, reverse=True))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: reversible(of_another), REVERSED),
        (lambda: reversible(twice_reversed), REVERSED),
        (lambda: reversible(in_an_addition), REVERSED),
        (alone, REVERSED),
        (lambda: reversible(tie_weights=False), "model: 'table': tie_weights: got False; accepted: True."),
        (lambda: reversible(logit_soft_cap=3.0), "model: 'table': logit_soft_cap: got 3.0; accepted: None."),
        (lambda: reversible(mask_zero=True), "model: 'table': mask_zero: got True; accepted: False."),
        (
            lambda: reversible(reverse_dtype="float32"),
            "model: 'table': reverse_dtype: got 'float32'; accepted: None.",
        ),
    ],
    ids=["softmax-after", "reversed-twice", "in-an-addition", "alone", "untied", "soft-cap", "mask", "dtype"],
)
def test_a_reversible_embedding_that_is_no_tied_head_is_refused(make, sentence):
    with pytest.raises(InputError) as caught:
        Network.from_keras(make(), LOSS)
    assert str(caught.value).removesuffix(" " + OTHER_WAYS) == sentence


def tied(first, *between, inputs=Tokens(6, 7)):  # noqa: B008
    return Network(inputs, [first, *between, TIED], LOSS)


HEAD = LinearCrossEntropy(7)
ONLY_LAST = "got LinearCrossEntropy; accepted: as the last layer of a network only."


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Network(5, [HEAD, Dense(3)], LOSS), f"layers[0]: {ONLY_LAST}"),
        (lambda: Network(5, [HEAD, HEAD], LOSS), f"layers[0]: {ONLY_LAST}"),
        (lambda: Network(5, [HEAD, tfbp.Activation("softmax")], LOSS), f"layers[0]: {ONLY_LAST}"),
        (lambda: Network(7, [Residual([HEAD])], LOSS), f"layers[0.layers.0]: {ONLY_LAST}"),
        (lambda: Network(5, [Residual([Dense(7)], [HEAD])], LOSS), f"layers[0.projection.0]: {ONLY_LAST}"),
        (
            lambda: Network(5, [HEAD], "categorical_crossentropy"),
            f"loss: got 'categorical_crossentropy' after LinearCrossEntropy; accepted: '{LOSS}'.",
        ),
        (lambda: LinearCrossEntropy(0), "units: got 0; accepted: an integer of at least 1."),
        (lambda: LinearCrossEntropy(7, "relu"), "use_bias: got 'relu'; accepted: True or False."),
        (lambda: LinearCrossEntropy(7, tied=1), "tied: got 1; accepted: True or False."),
        (lambda: LinearCrossEntropy(7, tied=True), "use_bias: got True with tied=True; accepted: False."),
        (
            lambda: LinearCrossEntropy(7, False, kernel_regularizer="l1", tied=True),
            "kernel_regularizer: got 'l1' with tied=True; accepted: None.",
        ),
        (
            lambda: LinearCrossEntropy(7, False, bias_regularizer="l1", tied=True),
            "bias_regularizer: got 'l1' with tied=True; accepted: None.",
        ),
        (
            lambda: tied(Dense(5), inputs=5),
            "layers[1]: got tied=True after Dense as the first layer; accepted: after a tfbp.Embedding.",
        ),
        (
            lambda: Network(7, [TIED], LOSS),
            "layers[0]: got tied=True after LinearCrossEntropy as the first layer; accepted: after a tfbp.Embedding.",
        ),
        (
            lambda: tied(Embedding(9, 5)),
            "layers[1]: units: got 7 with tied=True; accepted: 9, the rows of the table.",
        ),
        (
            lambda: tied(Embedding(7, 5), Dense(4)),
            "layers[2]: got inputs of width 4 with tied=True; accepted: 5, the width of the table.",
        ),
        (
            lambda: tied(Embedding(7, 5), TIED),
            f"layers[1]: {ONLY_LAST}",
        ),
        (
            lambda: layer_from_keras(tfbp.layers.LinearCrossEntropy(7, z_loss=0.5, name="head")),
            "model: 'head': z_loss: got 0.5; accepted: 0.0.",
        ),
        (
            lambda: layer_from_keras(tfbp.layers.LinearCrossEntropy(7, ignore_index=0, name="head")),
            "model: 'head': ignore_index: got 0; accepted: None.",
        ),
        (
            lambda: layer_from_keras(tfbp.layers.LinearCrossEntropy(7, kernel_constraint="unit_norm", name="head")),
            "model: got 'head' with kernel_constraint; accepted: LinearCrossEntropy without it.",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).removesuffix(" " + OTHER_WAYS) == sentence
