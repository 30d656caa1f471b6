"""Attention in networks: shapes, weights, JSON, Keras both ways, a transformer's block, bad input, planted mistakes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import Dense, Flatten, GroupedQueryAttention, InputError, MultiHeadAttention, Network, manual, tape
from tfbp import reference as reference_room
from tfbp.agreement.cases import cases_of
from tfbp.agreement.matrix import Cell, first_wrong, run_cell
from tfbp.agreement.problems import Case, problem
from tfbp.bridge.layers import layer_from_keras, weights_of
from tfbp.network import attention as kinds_of_attention

PLAIN = [MultiHeadAttention(2, 3, kernel_regularizer="l2"), Flatten(), Dense(3)]
CASES = {case.name.split("-B")[0]: case for case in cases_of(kinds_of_attention)} | {
    "attention": Case("attention", Network((5, 6), PLAIN, "sparse_categorical_crossentropy"), 4)
}
LAYERS = {
    "heads": MultiHeadAttention(2, 3, use_causal_mask=True),
    "value-dim": MultiHeadAttention(3, 2, 4, use_bias=False),
    "grouped": GroupedQueryAttention(3, 4, 2, use_causal_mask=True),
}


def keras_layer_of(layer, **arguments):
    kind = (
        keras.layers.MultiHeadAttention
        if layer.keras_name == "MultiHeadAttention"
        else keras.layers.GroupQueryAttention
    )
    return kind(**{**layer.keras_arguments(), **arguments}, dtype="float64")


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_weights_and_numbers_are_keras_s_and_it_comes_back(name):
    layer, x = LAYERS[name], np.random.default_rng(0).normal(size=(3, 5, 6))
    inputs, theirs = keras.Input((5, 6), dtype="float64"), keras_layer_of(layer, dropout=0.25, kernel_regularizer="l2")
    called = {"use_causal_mask": True} if layer.use_causal_mask else {}
    model = keras.Model(inputs, keras.layers.Flatten(dtype="float64")(theirs(inputs, inputs, **called)))
    assert {n: tuple(w.shape) for n, w in weights_of(layer, theirs).items()} == layer.weight_shapes((5, 6))
    network, parameters = Network.from_keras(model, "huber")
    back = network.layers[0]
    assert back.dropout == 0.25
    assert back.kernel_regularizer.l2 == 0.01
    same = [n for n in layer.arguments() if not n.endswith(("_initializer", "dropout", "kernel_regularizer"))]
    assert [getattr(back, n) for n in same] == [getattr(layer, n) for n in same]
    # Keras's scale is rounded to float32
    np.testing.assert_allclose(reference_room.forward(network, parameters, x), model(x), rtol=1e-6, atol=1e-6)
    again = network.to_keras(parameters, "float64")
    np.testing.assert_array_equal(again(x), model(x))
    assert Network.from_json(network.to_json()) == network


def test_first_weights_have_the_spread_of_keras_s():
    layer = MultiHeadAttention(4, 8, 16)
    first = Network((5, 64), [layer, Flatten()], "huber").init(0)[0]
    theirs = keras_layer_of(layer)
    theirs.build((1, 5, 64), (1, 5, 64))
    for name, weight in weights_of(layer, theirs).items():
        np.testing.assert_allclose(np.abs(first[name]).max(), np.abs(weight.numpy()).max(), rtol=0.02)


@pytest.mark.parametrize("name", CASES)
def test_a_network_goes_through_json_and_our_keras_layers(name):
    network, numbers = CASES[name].network, problem(CASES[name], "float64")
    assert Network.from_json(network.to_json()) == network
    model = network.to_keras(numbers.parameters, dtype="float64", layers=tfbp.layers)
    expected = reference_room.forward(network, numbers.parameters, numbers.x)
    np.testing.assert_allclose(model(numbers.x), expected, rtol=1e-12, atol=1e-12)
    back, parameters = Network.from_keras(model, network.loss)
    np.testing.assert_array_equal(reference_room.forward(back, parameters, numbers.x), expected)


@pytest.mark.parametrize(("writing", "mode"), [("manual", "xla"), ("tape", "eager")])
def test_a_transformer_s_block_in_float64_end_to_end_is_within_1e_12(writing, mode):
    case = CASES["transformer"]
    numbers = problem(case, "float64")
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    options = {"training": True, "seed": 3}
    loss, gradients = reference_room.loss_and_gradients(case.network, *arguments, **options)
    room = {"manual": manual, "tape": tape}[writing]

    def run(*given):
        return room.loss_and_gradients(case.network, *given, **options)

    run = tf.function(run, jit_compile=True, autograph=False) if mode == "xla" else run
    got_loss, got = run(*tf.nest.map_structure(tf.constant, arguments))
    assert abs(float(got_loss) - loss) < 1e-12 * abs(loss)
    norm = max(np.linalg.norm(each) for each in tf.nest.flatten(gradients))
    for value, expected in zip(tf.nest.flatten(got), tf.nest.flatten(gradients), strict=True):
        assert np.linalg.norm(value - expected) < 1e-12 * norm


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_agrees_in_float64(name):
    assert first_wrong(run_cell(Cell(CASES[name], "float64", "eager"))) is None


def test_model_learns_by_it():
    """Which of two marks comes first: what every step can ask the others, but no step knows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 6, 4)).astype("float32")
    y = (x[:, 0, 0] > x[:, 1, 0]).astype("int64")
    layers = [tfbp.Residual([MultiHeadAttention(2, 4, dropout=0.1)]), Flatten(), Dense(2, "softmax")]
    model = tfbp.Model(Network((6, 4), layers, "sparse_categorical_crossentropy"))
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(x, y, batch_size=64, epochs=6, verbose=0).history["loss"]
    assert history[-1] < 0.6 * history[0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MultiHeadAttention(0, 3), "num_heads: got 0; accepted: an integer of at least 1."),
        (lambda: MultiHeadAttention(2, 3, dropout=2), "dropout: got 2; accepted: a number from 0 to 1."),
        (lambda: MultiHeadAttention(2, 3, use_causal_mask=1), "use_causal_mask: got 1; accepted: True or False."),
        (
            lambda: GroupedQueryAttention(3, 4, 3),
            "num_key_value_heads: got 3, with 4 query heads; accepted: a divisor of num_query_heads.",
        ),
        (
            lambda: Network(5, [MultiHeadAttention(2, 3)], "huber"),
            "layers[0]: MultiHeadAttention: got inputs of shape (5,); accepted: sequences, (steps, features).",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("argument", "value", "accepted"),
    [
        ("use_gate", True, "False"),
        ("sliding_window", 3, "None"),
        ("output_shape", (7,), "None"),
        ("attention_axes", (2,), "None"),
    ],
)
def test_what_a_network_cannot_express_is_refused_from_keras(argument, value, accepted):
    with pytest.raises(InputError) as caught:
        layer_from_keras(keras.layers.MultiHeadAttention(2, 3, name="mine", **{argument: value}))
    assert str(caught.value).startswith(f"model: 'mine': {argument}: got {value!r}; accepted: {accepted}.")


def test_calls_that_a_network_cannot_express_are_refused():
    inputs = keras.Input((5, 6))
    layer = keras.layers.MultiHeadAttention(2, 3, name="mine")
    masked = keras.Model(inputs, layer(inputs, inputs, attention_mask=np.ones((1, 5, 5), bool)))
    with pytest.raises(InputError, match="'mine': attention_mask: got one in its call; accepted: a call without it"):
        Network.from_keras(masked, "huber")
    other = keras.layers.Dense(6)(inputs)
    masked = keras.Model(inputs, layer(inputs, other, attention_mask=np.ones((1, 5, 5), bool)))
    with pytest.raises(InputError, match="'mine': attention_mask: got a constant; accepted: a tensor of the model"):
        Network.from_keras(masked, "huber")
    with pytest.raises(InputError, match="'mine' with kernel_constraint"):
        layer_from_keras(keras.layers.MultiHeadAttention(2, 3, name="mine", kernel_constraint="non_neg"))
