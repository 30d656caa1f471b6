"""Recurrent layers, by hand against the reference, the reference against complex steps, states in and out of a loop."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from writings import compiled, tensor

from tfbp.agreement.local import measured_tolerances
from tfbp.agreement.problems import round_to
from tfbp.judging.comparison import compare
from tfbp.judging.differences import complex_step
from tfbp.judging.tolerances import Units
from tfbp.manual import recurrent
from tfbp.network import GRU, LSTM, Node, SimpleRNN
from tfbp.reference import recurrent as reference
from tfbp.rehearsal.operations import gradient_kernels, in_graph

BACKWARDS = {"return_sequences": True, "go_backwards": True}
LAYERS = {
    "simple": SimpleRNN(4),
    "simple-sequences": SimpleRNN(4, "softplus", return_sequences=True),
    "simple-backwards": SimpleRNN(3, use_bias=False, **BACKWARDS),
    "lstm": LSTM(4),
    "lstm-sequences": LSTM(4, "softsign", "hard_sigmoid", return_sequences=True),
    "lstm-backwards": LSTM(3, use_bias=False, **BACKWARDS),
    "gru": GRU(4),
    "gru-before": GRU(4, reset_after=False),
    "gru-sequences": GRU(4, "softsign", "softmax", return_sequences=True),
    "gru-backwards": GRU(3, use_bias=False, **BACKWARDS),
    "gru-before-backwards": GRU(3, reset_after=False, **BACKWARDS),
}
STEPS, INPUTS, BATCH = 4, 3, 5
PASS = {"training": True, "seed": None}


def problem(name, dtype="float64"):
    """A node, and what it is fed, rounded to a dtype."""
    rng, layer = np.random.default_rng([*name.encode()]), LAYERS[name]
    shape, made = (STEPS, INPUTS), layer.output_shape((STEPS, INPUTS))
    fed = {
        "weights": {n: round_to(rng.normal(size=s), dtype) for n, s in layer.weight_shapes(shape).items()},
        "x": round_to(rng.normal(size=(BATCH, *shape)), dtype),
        "dz": round_to(rng.normal(size=(BATCH, *made)), dtype),
    }
    return Node((0,), layer, shape, made, 0), fed


def answers(room, layer, fed):
    forward, backward = room.KINDS[layer.keras_name]
    z, residuals, _ = forward(layer, fed["weights"], fed["x"], **PASS)
    dx, gradients = backward(layer, fed["dz"], residuals)
    return {"z": z, "dx": dx, **{f"d{name}": dw for name, dw in gradients.items()}}


@cache
def expected_of(name):
    node, fed = problem(name)
    return as_tensors(fed, "float64"), answers(reference, node.layer, fed)


def as_tensors(fed, dtype):
    return tf.nest.map_structure(lambda a: tensor(a, dtype), fed)


@pytest.mark.parametrize(
    ("name", "dtype", "mode"),
    [
        *((name, "float64", "eager") for name in LAYERS),
        *((name, "float32", "graph") for name in LAYERS),
        *((name, "float32", "xla") for name in ("simple", "lstm-sequences", "gru-before-backwards")),
        *((name, dtype, "graph") for name in ("lstm", "gru") for dtype in ("bfloat16", "float16")),
    ],
)
def test_by_hand_agrees_with_the_reference(name, dtype, mode):
    node, fed = problem(name, dtype)
    tolerances = measured_tolerances(node, fed, Units.of(dtype))
    got = compiled(lambda fed: answers(recurrent, node.layer, fed), mode)(as_tensors(fed, dtype))
    expected = answers(reference, node.layer, fed)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        found = compare(key, got[key], value, tolerances[key], dtype)
        assert found.agrees, f"{key}: {found.ratio:.3g} of its tolerance; {found.mistake}"


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "lstm-sequences"])
def test_the_reference_s_gradient_is_that_of_complex_steps(name):
    node, fed = problem(name)
    expected, (forward, _) = answers(reference, node.layer, fed), reference.KINDS[node.layer.keras_name]
    for key in ("x", *fed["weights"]):
        inner = fed if key == "x" else fed["weights"]

        def loss(value, key=key):
            weights = fed["weights"] if key == "x" else {**fed["weights"], key: value}
            x = value if key == "x" else fed["x"].astype(complex)
            return (fed["dz"] * forward(node.layer, weights, x, **PASS)[0]).sum()

        np.testing.assert_allclose(complex_step(loss, inner[key]), expected[f"d{key}"], rtol=0, atol=1e-12)


def with_states(kind):
    """x, weights, states of one kind, and its options."""
    rng, layer = np.random.default_rng(0), {"simple_rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}[kind](4)
    weights = [tf.constant(rng.normal(size=s)) for s in layer.weight_shapes((STEPS, INPUTS)).values()]
    x = tf.constant(rng.normal(size=(BATCH, STEPS, INPUTS)))
    states = tuple(tf.constant(rng.normal(size=(BATCH, 4))) for _ in range(2 if kind == "lstm" else 1))
    names = ("activation", "recurrent_activation", "reset_after")
    return x, weights, states, {name: getattr(layer, name) for name in names if hasattr(layer, name)}


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("kind", ["simple_rnn", "lstm", "gru"])
def test_states_come_in_and_go_out(kind, sequences):
    """With a tape over the forward's own loop as judge: it knows nothing of the backward."""
    rng, (x, weights, states, options) = np.random.default_rng(1), with_states(kind)
    forward = getattr(recurrent, f"{kind}_forward")
    with tf.GradientTape() as tape:
        tape.watch((x, weights, states))
        y, last, residuals = forward(x, *weights, states, **options, return_sequences=sequences)
    dy, *dlast = (tf.constant(rng.normal(size=each.shape)) for each in (y, *last))
    expected = tape.gradient((y, last), (x, *weights, states), output_gradients=(dy, tuple(dlast)))
    got = getattr(recurrent, f"{kind}_backward")(dy, residuals, tuple(dlast))
    for a, e in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(last[0], y[:, -1] if sequences else y)


# whole, padded after, padded before, with a gap, nothing left
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], bool)
ORDERS = [
    {"return_sequences": sequences, "go_backwards": backwards, "zero_output_for_mask": zero}
    for sequences in (False, True)
    for backwards in (False, True)
    for zero in (False, True)
]


def ids_of(order):
    return "-".join(name for name, value in order.items() if value) or "last"


def step_by_step(kind, x, weights, states, options, order):
    """y and the last states, from calls of a single step each: no loop of the forward sees a mask."""
    y, ys = tf.zeros_like(states[0]), []
    for t in reversed(range(STEPS)) if order["go_backwards"] else range(STEPS):
        mask, forward = MASK[:, t, None], getattr(recurrent, f"{kind}_forward")
        h, new, _ = forward(x[:, t : t + 1], *weights, states, **options)
        y = tf.where(mask, h, tf.zeros_like(h) if order["zero_output_for_mask"] else y)
        states = tuple(tf.where(mask, *pair) for pair in zip(new, states, strict=True))
        ys.append(y)
    return tf.stack(ys, axis=1) if order["return_sequences"] else y, states


def both(kind, order, room=recurrent, mode="eager"):
    """y, the last states and all gradients by hand under a mask, and by a tape over single steps."""
    rng, (x, weights, states, options) = np.random.default_rng(1), with_states(kind)
    with tf.GradientTape() as tape:
        tape.watch((x, weights, states))
        y, last = step_by_step(kind, x, weights, states, options, order)
    dy, *dlast = (tf.constant(rng.normal(size=each.shape)) for each in (y, *last))
    expected = tape.gradient((y, last), (x, weights, states), output_gradients=(dy, tuple(dlast)))

    def by_hand(x, weights, states, mask):
        y, last, residuals = getattr(room, f"{kind}_forward")(x, *weights, states, mask=mask, **options, **order)
        return y, last, *getattr(room, f"{kind}_backward")(dy, residuals, tuple(dlast))

    got = compiled(by_hand, mode)(x, weights, states, tf.constant(MASK))
    names = ("y", *["last"] * len(last), "dx", "dkernel", "drecurrent_kernel", "dbias", *["dstates"] * len(last))
    return list(zip(names, tf.nest.flatten(got), tf.nest.flatten((y, last, *expected)), strict=True))


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("order", ORDERS, ids=ids_of)
@pytest.mark.parametrize("kind", ["simple_rnn", "lstm", "gru"])
@pytest.mark.sampled(5)
def test_masked_steps_are_left_out(kind, order, mode):
    for name, got, expected in both(kind, order, mode=mode):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["simple-backwards", "lstm-backwards", "gru"])
def test_a_batch_and_a_length_of_unknown_size(name):
    node, fed = problem(name)
    sizes = {"x": [None, None, INPUTS], "dz": [None] * (fed["dz"].ndim - 1) + [node.layer.units]}
    specs = {key: tf.TensorSpec(size, tf.float64) for key, size in sizes.items()}
    specs["weights"] = {key: tf.TensorSpec(w.shape, tf.float64) for key, w in fed["weights"].items()}
    run = tf.function(lambda fed: answers(recurrent, node.layer, fed), input_signature=[specs], autograph=False)
    for key, value in answers(reference, node.layer, fed).items():
        np.testing.assert_allclose(run(as_tensors(fed, "float64"))[key], value, rtol=0, atol=1e-12)


def test_a_sequence_of_one_step():
    layer, rng = LSTM(2), np.random.default_rng(0)
    fed = {
        "weights": {n: rng.normal(size=s) for n, s in layer.weight_shapes((1, 3)).items()},
        "x": rng.normal(size=(2, 1, 3)),
        "dz": rng.normal(size=(2, 2)),
    }
    got = answers(recurrent, layer, as_tensors(fed, "float64"))
    for key, value in answers(reference, layer, fed).items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(got["drecurrent_kernel"], 0)


@pytest.mark.parametrize(("name", "products"), [("simple", 6), ("lstm", 6), ("gru", 12), ("gru-before", 12)])
def test_no_gradient_kernel_is_called_and_weights_have_one_product_over_all_steps(name, products):
    """Of a kernel: one forward, dx and dkernel; of a recurrent kernel: one in each loop, and its gradient."""
    node, fed = problem(name)
    run = tf.function(lambda fed: answers(recurrent, node.layer, fed), autograph=False)
    graph = run.get_concrete_function(as_tensors(fed, "float32")).graph
    assert gradient_kernels(in_graph(graph)) == []
    definition = graph.as_graph_def()
    bodies = [node for each in definition.library.function for node in each.node_def]
    assert sum(each.op == "MatMul" for each in [*definition.node, *bodies]) == products
