"""Networks that are written as graphs: what they are, bad input at its line, mistakes planted where gradients meet."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import (
    LSTM,
    Add,
    Average,
    BatchNormalization,
    Concatenate,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Input,
    InputError,
    Maximum,
    Minimum,
    Model,
    Multiply,
    Network,
    Rescaling,
    Residual,
    Tokens,
    ZeroPadding2D,
    manual,
    reference,
    tape,
)
from tfbp.agreement.cases import cases_of
from tfbp.agreement.matrix import Cell, at_fault, first_wrong, run_cell
from tfbp.agreement.problems import problem
from tfbp.network import Call, merge, named_weights, padding, scaling

WRITINGS = {"reference": reference, "manual": manual, "tape": tape}
CASES = {case.name.split("-B")[0]: case for case in cases_of(merge, scaling, padding)}


def arguments_of(name):
    numbers = problem(CASES[name], "float64")
    return CASES[name].network, (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)


def weights_of(gradients):
    return {f"{place} {name}": np.asarray(dw) for place, name, dw in named_weights(gradients)}


@pytest.mark.parametrize("name", CASES)
def test_the_three_writings_agree_to_1e_12(name):
    network, arguments = arguments_of(name)
    loss, gradients = reference.loss_and_gradients(network, *arguments)
    expected = weights_of(gradients)
    for writing in (manual, tape):
        got, found = writing.loss_and_gradients(network, *arguments)
        assert abs(float(got) - float(loss)) < 1e-12
        found = weights_of(found)
        assert {each: dw.shape for each, dw in found.items()} == {each: dw.shape for each, dw in expected.items()}
        for each, dw in expected.items():
            np.testing.assert_allclose(found[each], dw, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["shared", "several-outputs", "taken-often"])
def test_the_reference_s_gradients_are_differences(name):
    network, (parameters, *rest) = arguments_of(name)
    _, gradients = reference.loss_and_gradients(network, parameters, *rest)
    rng = np.random.default_rng([*name.encode()])
    for place, weight, w in list(named_weights(parameters)):
        direction, found = rng.normal(size=w.shape), {}
        # apart from the kinks of penalties, where weights of 0 are
        direction[w == 0] = 0
        for step in (-1e-6, 1e-6):
            moved = [dict(layer) for layer in parameters]
            moved[place[0]][weight] = w + step * direction
            found[step] = reference.loss_and_gradients(network, moved, *rest)[0]
        slope = (found[1e-6] - found[-1e-6]) / 2e-6
        np.testing.assert_allclose(slope, (gradients[place[0]][weight] * direction).sum(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_a_graph_goes_through_json_and_is_drawn(name):
    network = CASES[name].network
    assert Network.from_json(network.to_json()) == network
    assert network.draw().svg.count("<rect") == len(network.each_input) + len(network.calls)


def test_a_graph_that_is_a_chain_is_that_chain():
    x = Input(4)
    written = Network(x, Dense(2, "softmax")(Dense(3, "tanh")(x)), "categorical_crossentropy")
    assert written == Network(4, [Dense(3, "tanh"), Dense(2, "softmax")], "categorical_crossentropy")


def test_a_layer_that_is_called_twice_is_one_and_an_equal_one_is_another():
    x, layer = Input(4), Dense(4)
    network = Network(x, Add()(layer(layer(x)), Dense(4)(x)), "huber")
    assert [call.layer for call in network.calls] == [0, 0, 1, 2]
    assert [node.name for node in network.nodes] == ["0", "0-again", "1", "2"]
    assert [sorted(layer) for layer in network.init(0)] == [["bias", "kernel"], ["bias", "kernel"], []]
    assert network.calls[-1] == Call(2, (2, 3))


def test_sums_and_multiples_are_written_as_in_keras():
    x = Input(3)
    network = Network(x, 2.0 * x + x * x - 1.0, "huber")
    expected = 2 * np.array([[1.0, 2.0, 3.0]]) + np.array([[1.0, 4.0, 9.0]]) - 1
    np.testing.assert_allclose(reference.forward(network, [{}] * len(network.layers), [[1.0, 2.0, 3.0]]), expected)


def test_statistics_of_a_layer_that_is_called_twice_are_renewed_twice():
    x, layer = Input(2), BatchNormalization(momentum=0.5)
    network = Network(x, layer(layer(x)), "huber")
    rng = np.random.default_rng(1)
    given = (network.init(0), rng.normal(size=(8, 2)), rng.normal(size=(8, 2)))
    for writing in WRITINGS.values():
        tensors = writing.loss_gradients_and_tensors(network, *given)[2]
        first, last = (np.asarray(each["new_weights"]["moving_mean"]) for each in tensors[:2])
        np.testing.assert_allclose(first, 0.5 * given[1].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(last, 0.5 * first, rtol=1e-12, atol=1e-15)


def test_a_softmax_that_others_take_too_sends_both_gradients():
    """The loss's goes to the logits, that of the other users to y."""
    x = Input(4)
    y = Dense(3, "softmax")(x)
    network = Network(x, [y, Dense(2)(y)], ["categorical_crossentropy", "mean_squared_error"], [1.0, 0.25])
    assert network.loss_at != network.ends
    rng = np.random.default_rng(2)
    targets = rng.random((5, 3))
    given = (network.init(0), rng.normal(size=(5, 4)), (targets / targets.sum(axis=1, keepdims=True), np.ones((5, 2))))
    loss, gradients = manual.loss_and_gradients(network, *given)
    with tf.GradientTape() as record:
        kernels = [tf.Variable(layer["kernel"]) for layer in given[0][:2]]
        p = tf.nn.softmax(tf.constant(given[1]) @ kernels[0])
        first = tf.reduce_mean(-tf.reduce_sum(given[2][0] * tf.math.log(p), axis=1))
        total = first + 0.25 * tf.reduce_mean((p @ kernels[1] - 1) ** 2)
    np.testing.assert_allclose(loss, total, rtol=1e-12)
    for layer, expected in zip(gradients, record.gradient(total, kernels), strict=False):
        np.testing.assert_allclose(layer["kernel"], expected, rtol=0, atol=1e-13)


def test_tokens_and_numbers_may_come_in_side_by_side():
    tokens, x = Input(Tokens(5, 7)), Input(3)
    seen = Concatenate()(LSTM(4)(Embedding(7, 3)(tokens)), Dropout(0.3)(Dense(4, "tanh")(x)))
    network = Network([tokens, x], Dense(2)(seen), "huber")
    rng = np.random.default_rng(3)
    given = (network.init(0), (rng.integers(0, 7, (6, 5)), rng.normal(size=(6, 3))), rng.normal(size=(6, 2)))
    expected = weights_of(reference.loss_and_gradients(network, *given, seed=3)[1])
    for writing in (manual, tape):
        found = weights_of(writing.loss_and_gradients(network, *given, seed=3)[1])
        for each, dw in expected.items():
            np.testing.assert_allclose(found[each], dw, rtol=0, atol=1e-12)


def test_examples_norms_are_those_of_a_shared_layer_s_sum():
    x, shared = Input(4), Dense(4, "tanh")
    network = Network(x, Dense(2)(shared(shared(x))), "huber")
    rng = np.random.default_rng(4)
    given = (network.init(1), rng.normal(size=(6, 4)), rng.normal(size=(6, 2)))
    expected = reference.per_example.gradient_norms(network, *given)
    np.testing.assert_allclose(manual.per_example.gradient_norms(network, *given), expected, rtol=1e-12)
    clip = float(np.median(expected))
    clipped = weights_of(reference.per_example.loss_and_clipped_gradients(network, *given, clip)[1])
    found = weights_of(manual.per_example.loss_and_clipped_gradients(network, *given, clip)[1])
    moments = zip(
        manual.per_example.gradient_mean_and_variance(network, *given),
        reference.per_example.gradient_mean_and_variance(network, *given),
        strict=True,
    )
    for each, dw in clipped.items():
        np.testing.assert_allclose(found[each], dw, rtol=0, atol=1e-12)
    for got, right in moments:
        for each, moment in weights_of(right).items():
            np.testing.assert_allclose(weights_of(got)[each], moment, rtol=0, atol=1e-12)


def test_a_model_trains_a_graph_as_keras_trains_its_own():
    x = Input(4)
    h = Dense(5, "tanh")(x)
    network = Network(x, Dense(3, "softmax")(Multiply()(h, Dense(5)(h))), "categorical_crossentropy")
    rng = np.random.default_rng(5)
    data = rng.normal(size=(32, 4)), np.eye(3)[rng.integers(0, 3, 32)]
    losses = []
    for writing in ("manual", "tape"):
        model = Model(network, writing, dtype="float64", seed=1)
        model.compile("sgd", metrics=["accuracy"])
        losses.append(model.fit(*data, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"])
    theirs = network.to_keras(network.init(1), dtype="float64")
    theirs.compile("sgd", "categorical_crossentropy")
    losses.append(theirs.fit(*data, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-6)


def add_overwriting(sums, key, d):
    """A second gradient in the place of the first."""
    if d is not None:
        sums[key] = d


def concatenate_reversed(xs, axis):
    return tf.concat(xs[::-1], axis=axis), [x.shape[axis] for x in xs]


def half_at_the_fifth():
    """Right up to four summands."""
    counts = {}

    def add(sums, key, d):
        counts[id(sums), key] = counts.get((id(sums), key), 0) + 1
        manual_add(sums, key, d / 2 if counts[id(sums), key] == 5 else d)

    return add


manual_add = manual.graph.add
MISTAKES = {
    "a shared layer's gradient overwritten": (manual.graph, "add", add_overwriting, "shared", "end to end"),
    "a tensor's gradients overwritten": (manual.graph, "add", add_overwriting, "taken-often", "end to end"),
    "the fifth summand halved": (manual.graph, "add", half_at_the_fifth(), "taken-often", "end to end"),
    "concatenated in reverse": (manual.merge, "concatenate_forward", concatenate_reversed, "concatenate", "layer 2 z"),
    "padded on the other side": (
        manual.padding,
        "zero_padding_forward",
        lambda x, padding: tf.pad(x, [(0, 0), *(each[::-1] for each in padding), (0, 0)]),
        "zero-padding",
        "layer 1 z",
    ),
    "the offset forgotten": (
        manual.scaling,
        "rescaling_forward",
        lambda x, scale, offset: scale * x,
        "rescaling",
        "layer 1 z",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named_at_its_place(monkeypatch, mistake):
    module, function, wrong, case, place = MISTAKES[mistake]
    monkeypatch.setattr(module, function, wrong)
    results = run_cell(Cell(CASES[case], "float64", "eager"))
    found = first_wrong(results)
    assert found is not None
    writing, said = at_fault(results, found)
    assert writing == "manual"
    assert place in (found.scope, said.tensor)


def x4():
    return Input(4)


BAD = {
    "no tensor": (lambda: Dense(3)(np.ones((2, 4))), "inputs: got array"),
    "two for one": (lambda: Dense(3)(x4(), x4()), "Dense: got 2 tensors; accepted: one."),
    "one for two": (lambda: Add()(x4()), "Add: got 1 tensors; accepted: two or more."),
    "shapes": (lambda: Add()(x4(), Input(3)), "Add: got inputs of shape ((4,), (3,)); accepted: tensors of one shape"),
    "axis": (lambda: Concatenate(2)(x4(), x4()), "Concatenate: got inputs of shape ((4,), (4,)); accepted: tensors"),
    "dot": (lambda: Dot(1)(x4(), Input(3)), "Dot: got inputs of shape ((4,), (3,)); accepted: two tensors of one size"),
    "tokens": (lambda: Dense(3)(Input(Tokens(4, 5))), "Dense: got Tokens(length=4, vocabulary=5); accepted: no tokens"),
    "numbers": (lambda: Embedding(7, 3)(x4()), "Embedding: got (4,); accepted: tokens."),
    "an input left out": (lambda: Network(x4(), Dense(2)(x4()), "huber"), "inputs: got none of shape (4,), which an"),
    "an input for nothing": (
        lambda: Network([a := x4(), x4()], Dense(2)(a), "huber"),
        "inputs[1]: got <Symbol (4,)>; accepted: a tfbp.Input that an output depends on.",
    ),
    "an input for an output": (
        lambda: Network(a := x4(), [Dense(2)(a), a], ["huber", "huber"]),
        "layers: output 1 is an input; accepted: tensors that a layer makes.",
    ),
    "one loss for two": (
        lambda: Network(a := x4(), [Dense(2)(a), Dense(2)(a)], "huber"),
        "loss: got 'huber' for 2 outputs; accepted: a loss for each, in a list.",
    ),
    "another width": (
        lambda: Network(a := x4(), (layer := Dense(3))(layer(a)), "huber"),
        "Dense: got a second call on inputs of shape (3,), for which its weights have the shapes",
    ),
    "a block twice": (
        lambda: Network(a := x4(), (block := Residual([Dense(4)]))(block(a)), "huber"),
        "Residual: got a second call; accepted: one, of a layer that is made of others.",
    ),
    "a merge in a chain": (lambda: Network(4, [Average()], "huber"), "layers[0]: got Average, which takes several"),
    "scale": (lambda: Rescaling("2"), "scale: got '2'; accepted: a number."),
    "padding": (lambda: ZeroPadding2D(-1), "padding: got -1; accepted: an integer, (rows, columns), or"),
}  # fmt: skip


@pytest.mark.parametrize("given", BAD)
def test_bad_input_is_one_sentence_at_its_line(given):
    make, sentence = BAD[given]
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 240


def test_a_pass_is_given_a_tuple_for_several():
    network, (parameters, x, y, _) = arguments_of("several-outputs")
    for writing in WRITINGS.values():
        with pytest.raises(InputError, match=r"^x: got 1; accepted: a tuple of 2, as the network has them\.$"):
            writing.loss_and_gradients(network, parameters, x[:1], y)
        with pytest.raises(InputError, match=r"^x\[1\]: got shape \(5, 3\); accepted: \(B, 4\) with a batch B"):
            writing.forward(network, parameters, (x[0], x[1][:, :3]))


@pytest.mark.parametrize("kind", [Maximum, Minimum])
def test_the_first_of_equal_inputs_has_the_gradient_in_every_writing(rng, kind):
    """As two relu are equal where both are 0; Keras's layers compute it so."""
    x = Input((3, 2))
    inputs = [Dense(2, activation="relu")(x), Dense(2, activation="relu")(x), Dense(1, activation="relu")(x)]
    network = Network(x, kind()(*inputs), "half_squared_error")
    parameters = [
        {name: rng.integers(-1, 2, shape).astype(float) for name, shape in layer.items()}
        for layer in network.parameter_shapes()
    ]
    given = rng.integers(-2, 3, (8, 3, 2)).astype(float), rng.normal(size=(8, 3, 2))
    gradients = {}
    for name, writing in WRITINGS.items():
        _, found = writing.loss_and_gradients(network, parameters, *map(tf.constant, given))
        gradients[name] = [np.asarray(gradient) for _, _, gradient in named_weights(found)]
    for name in ("manual", "tape"):
        for got, right in zip(gradients[name], gradients["reference"], strict=True):
            assert got.shape == right.shape
            np.testing.assert_allclose(got, right, rtol=0, atol=1e-13, err_msg=name)
