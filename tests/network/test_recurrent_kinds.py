"""Recurrent layers of networks: shapes, weights, JSON, Keras both ways, bad input, and whole networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import (
    GRU,
    LSTM,
    Activation,
    Dense,
    GlobalAveragePooling1D,
    InputError,
    Network,
    SimpleRNN,
    manual,
    reference,
    tape,
)
from tfbp.agreement.cases import cases_of
from tfbp.agreement.problems import Case, problem
from tfbp.bridge.layers import layer_from_keras, layer_to_keras
from tfbp.network import Options, bidirectional, recurrent

WRITINGS = {"manual": manual, "tape": tape}
CASES = {case.name: case for case in cases_of(recurrent, bidirectional)}
LAYERS = {
    "simple": SimpleRNN(4),
    "simple-relu": SimpleRNN(4, "relu", use_bias=False, return_sequences=True),
    "lstm": LSTM(4),
    "lstm-sequences": LSTM(4, "elu", "hard_sigmoid", return_sequences=True, go_backwards=True),
    "gru": GRU(4),
    "gru-before": GRU(4, None, reset_after=False, go_backwards=True),
    "gru-no-bias": GRU(4, use_bias=False),
    "mean": GlobalAveragePooling1D(),
    "mean-keepdims": GlobalAveragePooling1D(keepdims=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_weights_and_numbers_are_keras_s_and_it_comes_back(name):
    layer, x = LAYERS[name], np.random.default_rng(0).normal(size=(3, 6, 5))
    keras_layer = layer_to_keras(layer, "float64")
    keras_layer.build((None, 6, 5))
    assert keras_layer.compute_output_shape((None, 6, 5)) == (None, *layer.output_shape((6, 5)))
    assert {w.name: tuple(w.shape) for w in keras_layer.weights} == layer.weight_shapes((6, 5))
    back = layer_from_keras(keras_layer)
    settled = [n for n in layer.arguments() if not n.endswith("_initializer")]
    assert [getattr(back, n) for n in settled] == [getattr(layer, n) for n in settled]
    network = Network((6, 5), [layer, tfbp.Flatten()], "huber")
    model = keras.Sequential([keras.Input((6, 5), dtype="float64"), keras_layer, keras.layers.Flatten(dtype="float64")])
    got, parameters = Network.from_keras(model, "huber")
    assert got.parameter_shapes() == network.parameter_shapes()
    np.testing.assert_allclose(reference.forward(network, parameters, x), model(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU], ids=lambda kind: kind.__name__)
def test_defaults_are_keras_s(kind):
    layer, given = kind(4), getattr(keras.layers, kind.__name__)(4)
    for name, value in layer.arguments().items():
        if name == "takes":
            continue
        expected = getattr(given, name)
        if name.endswith("_initializer"):
            assert type(keras.initializers.get(value)) is type(expected)
        else:
            assert (value.name if isinstance(value, Activation) else value) == getattr(expected, "__name__", expected)


def test_first_weights_are_keras_s():
    """The bias of an LSTM's second gate starts at 1; recurrent kernels have orthonormal rows."""
    first = Network((6, 3), [LSTM(4)], "huber").init(0)[0]
    np.testing.assert_array_equal(first["bias"], np.repeat([0, 1, 0, 0], 4))
    np.testing.assert_allclose(first["recurrent_kernel"] @ first["recurrent_kernel"].T, np.eye(4), atol=1e-12)
    assert not Network((6, 3), [LSTM(4, unit_forget_bias=False)], "huber").init(0)[0]["bias"].any()


@pytest.mark.parametrize("name", CASES)
def test_a_network_goes_through_json_and_keras(name):
    network, numbers = CASES[name].network, problem(CASES[name], "float64")
    assert Network.from_json(network.to_json()) == network
    model = network.to_keras(numbers.parameters, dtype="float64")
    expected = reference.forward(network, numbers.parameters, numbers.x)
    np.testing.assert_allclose(model(numbers.x), expected, rtol=1e-12, atol=1e-12)
    back, parameters = Network.from_keras(model, network.loss)
    np.testing.assert_array_equal(reference.forward(back, parameters, numbers.x), expected)


def test_an_activation_after_a_linear_recurrence_stays_a_layer():
    """It acts on the outputs, not within the steps."""
    model = keras.Sequential(
        [keras.Input((6, 3)), keras.layers.SimpleRNN(4, None), keras.layers.ReLU(), keras.layers.Dense(2)]
    )
    network, parameters = Network.from_keras(model, "huber")
    assert [layer.keras_name for layer in network.layers] == ["SimpleRNN", "Activation", "Dense"]
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    np.testing.assert_allclose(reference.forward(network, parameters, x), model(x), rtol=1e-4, atol=1e-5)


STACK = [LSTM(6, return_sequences=True), GRU(5, return_sequences=True), SimpleRNN(4, go_backwards=True), Dense(3)]


@pytest.mark.parametrize(("writing", "mode"), [("manual", "graph"), ("manual", "xla"), ("tape", "graph")])
@pytest.mark.sampled(2)
def test_float64_end_to_end_is_within_1e_12(writing, mode):
    case = Case("stack", Network((9, 3), STACK, "sparse_categorical_crossentropy"), 7)
    numbers = problem(case, "float64")
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    loss, gradients = reference.loss_and_gradients(case.network, *arguments)
    run = tf.function(
        lambda *given: WRITINGS[writing].loss_and_gradients(case.network, *given),
        jit_compile=mode == "xla",
        autograph=False,
    )
    got_loss, got = run(*tf.nest.map_structure(tf.constant, arguments))
    assert abs(float(got_loss) - loss) < 1e-12 * abs(loss)
    for value, expected in zip(tf.nest.flatten(got), tf.nest.flatten(gradients), strict=True):
        assert np.linalg.norm(value - expected) < 1e-12 * np.linalg.norm(expected)


def test_model_learns_by_it():
    """Which of two halves of a sequence is the louder."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 10, 1)).astype("float32")
    y = (np.abs(x[:, :5]).sum(axis=(1, 2)) < np.abs(x[:, 5:]).sum(axis=(1, 2))).astype("int64")
    network = Network((10, 1), [LSTM(16), Dense(2, "softmax")], "sparse_categorical_crossentropy")
    model = tfbp.Model(network)
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(x, y, batch_size=32, epochs=8, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SimpleRNN(0), "units: got 0; accepted: an integer of at least 1."),
        (lambda: LSTM(4, return_sequences=1), "return_sequences: got 1; accepted: True or False."),
        (lambda: LSTM(4, unit_forget_bias="yes"), "unit_forget_bias: got 'yes'; accepted: True or False."),
        (lambda: GRU(4, reset_after=None), "reset_after: got None; accepted: True or False."),
        (
            lambda: Network(5, [LSTM(4)], "huber"),
            "layers[0]: LSTM: got inputs of shape (5,); accepted: sequences, (steps, inputs).",
        ),
        (
            lambda: Network((5, 4, 3), [GlobalAveragePooling1D()], "huber"),
            "layers[0]: GlobalAveragePooling1D: got inputs of shape (5, 4, 3); accepted: sequences, (steps, features).",
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
        ("stateful", True, "False"),
        ("unroll", True, "False"),
    ],
)
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_what_a_network_cannot_express_is_refused_from_keras(kind, argument, value, accepted):
    layer = getattr(keras.layers, kind)(4, name="mine", **{argument: value})
    with pytest.raises(InputError) as caught:
        layer_from_keras(layer)
    assert str(caught.value).startswith(f"model: 'mine': {argument}: got {value!r}; accepted: {accepted}.")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_dropout_of_each_gate_alone_is_refused_from_keras(kind):
    make = getattr(keras.layers, kind)
    with pytest.raises(InputError, match=r"^model: 'mine': implementation: got 1, which drops other inputs for each g"):
        layer_from_keras(make(4, dropout=0.5, implementation=1, name="mine"))
    assert layer_from_keras(make(4, implementation=1)) == layer_from_keras(make(4))


def given_masks(layer, keras_layer, x, seed):
    """Makes a Keras cell drop what a network drops: a list of a mask for each gate, or one."""
    cell, gates = keras_layer.cell, layer.gates
    after = (seed[0], seed[1] + (layer.dropout > 0))

    def drawn(pair, rate, width, by_gate):
        shape = (len(x), gates if by_gate else 1, width)
        kept = reference.dropout.dropout_mask(shape, pair, rate) / (1 - rate)
        masks = [tf.constant(kept[:, gate]) for gate in range(shape[1])]
        return masks if gates > 1 and layer.drops_by_gate else masks[0]

    if layer.dropout:
        of_x = drawn(seed, layer.dropout, x.shape[2], layer.drops_by_gate)
        cell.get_dropout_mask = lambda step: of_x
    if layer.recurrent_dropout:
        of_h = drawn(after, layer.recurrent_dropout, layer.units, True)
        cell.get_recurrent_dropout_mask = lambda step: of_h


def in_one_order(values):
    return sorted((np.asarray(v) for v in values), key=lambda v: (v.shape, np.abs(v).sum()))


@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU", "GRU-before", "both-ways"])
def test_recurrent_dropout_s_gradients_are_keras_s(name, dropout):
    """In float64, with the network's masks."""
    rates = {"dropout": dropout, "recurrent_dropout": 0.5, "return_sequences": True}
    kind = {"GRU-before": "GRU", "both-ways": "LSTM"}.get(name, name)
    options = {"reset_after": False} if name == "GRU-before" else {}
    inner = getattr(keras.layers, kind)(4, **rates, **options, dtype="float64", bias_initializer="glorot_uniform")
    theirs = keras.layers.Bidirectional(inner, dtype="float64") if name == "both-ways" else inner
    model = keras.Sequential([keras.Input((6, 3), dtype="float64"), theirs])
    network, parameters = Network.from_keras(model, "mean_squared_error")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 6, 3))
    y = rng.normal(size=model.compute_output_shape((5, 6, 3)))
    layer, seed = network.layers[0], (7, 0)
    if name == "both-ways":
        inner_layer = layer.layer
        given_masks(inner_layer, theirs.forward_layer, x, seed)
        given_masks(inner_layer, theirs.backward_layer, x, (7, inner_layer.draws))
    else:
        given_masks(layer, theirs, x, seed)
    with tf.GradientTape() as record:
        loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
    expected = record.gradient(loss, [w.value for w in model.trainable_weights])
    for writing in (reference, manual, tape):
        got_loss, got = writing.loss_and_gradients(network, parameters, x, y, seed=7)
        assert abs(float(got_loss) - float(loss)) < 1e-13
        found = [value for value in tf.nest.flatten(got) if value is not None]
        for value, right in zip(in_one_order(found), in_one_order(expected), strict=True):
            np.testing.assert_allclose(value, right, rtol=0, atol=1e-13)


@pytest.mark.parametrize("writing", [reference, manual, tape])
def test_at_inference_nothing_is_dropped(writing):
    layers = [GRU(4, dropout=0.5, recurrent_dropout=0.5), Dense(2)]
    network = Network((6, 3), layers, "huber")
    plain = Network((6, 3), [GRU(4), Dense(2)], "huber")
    x, parameters = np.random.default_rng(0).normal(size=(5, 6, 3)), network.init(0)
    forward = [writing.forward(each, parameters, x) for each in (network, plain)]
    np.testing.assert_array_equal(*forward)


@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU], ids=lambda kind: kind.__name__)
def test_norms_of_examples_under_recurrent_dropout(kind):
    """As the gradients of each example's own loss, with the masks of its row."""
    network = Network((4, 3), [kind(3, dropout=0.25, recurrent_dropout=0.5), Dense(2)], "mean_squared_error")
    rng, parameters = np.random.default_rng(0), network.init(1)
    x, y = rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 2))
    got = manual.per_example.gradient_norms(network, parameters, tf.constant(x), tf.constant(y), None, Options(seed=3))
    for row in range(5):
        # all others weigh nothing; the mean is over five
        alone = np.zeros(5)
        alone[row] = 5
        _, one = reference.loss_and_gradients(network, parameters, x, y, alone, seed=3)
        expected = [np.sqrt(sum((w**2).sum() for w in of_layer.values())) for of_layer in one]
        np.testing.assert_allclose(got[row], expected, rtol=1e-10)


def test_a_constraint_is_refused_from_keras():
    for name in ("kernel_constraint", "recurrent_constraint", "bias_constraint"):
        with pytest.raises(InputError, match=name):
            layer_from_keras(keras.layers.GRU(4, **{name: "non_neg"}))


def test_moments_of_single_examples_are_refused_in_a_sentence():
    network = Network((6, 3), [LSTM(4), Dense(2)], "huber")
    with pytest.raises(InputError, match=r"^network: got LSTM in layer 0; accepted: layers without weights, and those"):
        tfbp.gradient_statistics(tfbp.Model(network), np.ones((2, 6, 3)), np.ones((2, 2)))
