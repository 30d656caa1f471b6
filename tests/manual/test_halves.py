"""A recurrence over the halves of a batch: the numbers of the whole, where two loops pay and nowhere else."""

import numpy as np
import pytest
import tensorflow as tf
from test_recurrent import BATCH, INPUTS, LAYERS, MASK, STEPS, answers, as_tensors, problem
from writings import compiled

from tfbp.manual import halves, recurrent
from tfbp.network import GRU, LSTM, SimpleRNN
from tfbp.reference import recurrent as reference

KINDS = {"simple_rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(halves, "LEAST", 1)


def loops(function, *given):
    """While loops at a function's top, and its outcome."""
    made = tf.function(function, autograph=False)
    nodes = made.get_concrete_function(*given).graph.as_graph_def().node
    return sum(node.op in ("While", "StatelessWhile") for node in nodes), made(*given)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", LAYERS)
def test_both_halves_together_are_the_reference(name):
    node, fed = problem(name)
    count, got = loops(lambda fed: answers(recurrent, node.layer, fed), as_tensors(fed, "float64"))
    assert count == 4
    for key, value in answers(reference, node.layer, fed).items():
        assert got[key].shape == value.shape
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-12, err_msg=key)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.sampled(1)
def test_a_batch_of_unknown_size(batch):
    node, fed = problem("gru-backwards")
    fed["x"], fed["dz"] = fed["x"][:batch], fed["dz"][:batch]
    specs = {key: tf.TensorSpec([None, None, a.shape[-1]], tf.float64) for key, a in fed.items() if key != "weights"}
    specs["weights"] = {key: tf.TensorSpec(w.shape, tf.float64) for key, w in fed["weights"].items()}
    run = tf.function(lambda fed: answers(recurrent, node.layer, fed), input_signature=[specs], autograph=False)
    got = run(as_tensors(fed, "float64"))
    for key, value in answers(reference, node.layer, fed).items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-12, err_msg=key)


def with_states(room, kind, dlast=True, mask=None):
    """y, the last states and all gradients of a loop with states in and out, by halves or as one."""
    rng, layer = np.random.default_rng(0), KINDS[kind](4)
    weights = [tf.constant(rng.normal(size=s)) for s in layer.weight_shapes((STEPS, INPUTS)).values()]
    x, dy = (tf.constant(rng.normal(size=(BATCH, STEPS, size))) for size in (INPUTS, 4))
    count = 1 + (kind == "lstm")
    states, dstates = (tuple(tf.constant(rng.normal(size=(BATCH, 4))) for _ in range(count)) for _ in range(2))
    dstates = dstates if dlast else (None,) * count
    names = ("activation", "recurrent_activation", "reset_after")
    options = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    forward, backward = (getattr(recurrent, f"{kind}_{way}") for way in ("forward", "backward"))

    def run():
        y, last, residuals = room.forward(forward, x, *weights, states, mask, **options, return_sequences=True)
        return [y, *last, *tf.nest.flatten(room.backward(backward, dy, residuals, dstates))]

    return run


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("dlast", [True, False], ids=["dlast", "none"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sampled(1)
def test_states_come_in_and_go_out_of_each_half(kind, dlast, mask):
    run = with_states(halves, kind, dlast, None if mask is None else tf.constant(mask))
    count, got = loops(run)
    assert count == 4
    for a, e in zip(got, run(), strict=True):  # eagerly it is one loop
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("mode", "least", "batch", "count"),
    [("graph", 1, 5, 4), ("graph", 80, 5, 4), ("graph", 81, 5, 2), ("xla", 1, 5, 2), ("graph", 1, 1, 2)],
)
def test_halves_are_taken_where_they_pay(monkeypatch, mode, least, batch, count):
    """In a graph without XLA, of two rows or more, where a step's products make numbers enough: 5 · 16 of an LSTM."""
    monkeypatch.setattr(halves, "LEAST", least)
    node, fed = problem("lstm")
    fed["x"], fed["dz"] = fed["x"][:batch], fed["dz"][:batch]
    run = compiled(lambda fed: answers(recurrent, node.layer, fed), mode)
    graph = run.get_concrete_function(as_tensors(fed, "float64")).graph
    assert sum(each.op in ("While", "StatelessWhile") for each in graph.as_graph_def().node) == count
