"""A writing that is wrong, however it is wrong, is a verdict: cell, writing, tensor; and the rest goes on."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement.cases import all_cases, shape_cases
from tfbp.agreement.matrix import MODES, Cell, at_fault, first_wrong, run_cell
from tfbp.agreement.programs import SuiteCase, Topic, run_trials
from tfbp.agreement.report import complaints

DENSE = next(shape_cases())
DEEP = next(case for case in all_cases() if case.name.startswith("square"))
RIGHT = manual.dense.dense_backward


def raising(*arguments, **options):
    raise ValueError("no such gradient")


def transposed(dz, residuals, **options):
    dx, dkernel, dbias = RIGHT(dz, residuals, **options)
    return dx, tf.transpose(dkernel), dbias


def without_bias(dz, residuals, **options):
    return *RIGHT(dz, residuals, **options)[:2], None


def in_float16(dz, residuals, **options):
    dx, dkernel, dbias = RIGHT(dz, residuals, **options)
    return dx, dkernel, tf.cast(dbias, tf.float16)


def only_two(dz, residuals, **options):
    return RIGHT(dz, residuals, **options)[:2]


WRONG = {
    "raises": (raising, "dkernel", "ValueError: no such gradient, raised at"),
    "shape": (transposed, "dkernel", "transposed"),
    "none": (without_bias, "dbias", "None, where a tensor is expected"),
    "dtype": (in_float16, "dbias", "dtype float16, where float32 is expected"),
    "arity": (only_two, "dkernel", "ValueError: not enough values to unpack (expected 3, got 2), raised at"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [*((kind, "eager") for kind in WRONG), ("raises", "graph"), ("none", "graph"), ("raises", "xla")]
)
def test_a_wrong_backward_is_a_verdict_and_the_other_tensors_are_judged(monkeypatch, kind, mode):
    function, tensor, said = WRONG[kind]
    monkeypatch.setattr(manual.dense, "dense_backward", function)
    results = run_cell(Cell(DENSE, "float32", mode))
    wrong = first_wrong(results)
    assert (wrong.scope, wrong.comparison.tensor) == ("local", f"layer 0 {tensor}")
    assert at_fault(results, wrong)[0] == "manual"
    assert wrong.comparison.mistake.startswith(said)
    line = complaints(results, [], [])[0]
    assert line.startswith(f"First wrong: {wrong.cell.id}, local: layer 0 {tensor} of manual: {said}")
    agreeing = {r.comparison.tensor for r in results if r.pair == "manual-reference" and r.comparison.agrees}
    assert {"layer 0 z", "layer 0 y", "losses", "doutputs"} <= agreeing


@pytest.mark.parametrize("mode", MODES)
def test_a_whole_pass_that_raises_is_a_verdict(monkeypatch, mode):
    monkeypatch.setattr(manual.backprop, "loss_backward", raising)
    results = run_cell(Cell(DENSE, "float32", mode))
    wrong = first_wrong(results)
    assert (wrong.scope, wrong.comparison.tensor) == ("end to end", "a whole pass")
    assert "no such gradient" in wrong.comparison.mistake
    assert all(r.comparison.agrees for r in results if r.pair == "tape-reference")


def test_what_fails_only_as_it_runs_takes_no_other_tensor_with_it(monkeypatch):
    def fails_as_it_runs(dz, residuals, **options):
        dx, dkernel, dbias = RIGHT(dz, residuals, **options)
        return tf.gather(dx, tf.range(34)), dkernel, dbias  # while tracing, B is not known

    monkeypatch.setattr(manual.dense, "dense_backward", fails_as_it_runs)
    results = run_cell(Cell(DENSE, "float32", "graph"))
    local = [r for r in results if (r.pair, r.scope) == ("manual-reference", "local")]
    assert [r.comparison.tensor for r in local if not r.comparison.agrees] == ["layer 0 dx"]


def test_the_reference_is_on_trial_too(monkeypatch):
    right = reference.dense.dense_backward

    def wrong(dz, residuals):
        dx, dkernel, dbias = right(dz, residuals)
        return dx, dkernel, dbias / len(dz)

    monkeypatch.setattr(reference.dense, "dense_backward", wrong)
    results = run_cell(Cell(DENSE, "float64", "eager"))
    writing, found = at_fault(results, first_wrong(results))
    assert (writing, found.tensor, found.cause) == ("reference", "layer 0 dbias", "a factor 1/B too many (B = 33)")


def test_a_reference_that_raises_is_a_verdict(monkeypatch):
    monkeypatch.setattr(reference.dense, "dense_backward", raising)
    (only,) = run_cell(Cell(DENSE, "float64", "eager"))
    assert not only.comparison.agrees
    assert at_fault([only], only)[0] == "reference"


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (lambda weight, rows: np.ones(rows) / rows, "sample weights are ignored"),
        (lambda weight, rows: weight, "a factor 1/B is missing (B = 33)"),
    ],
    ids=["weights", "1/B"],
)
def test_a_wrong_seed_is_named_where_it_is_made(monkeypatch, seed, said):
    right = manual.backprop.loss_gradients_and_tensors

    def wrong(network, parameters, x, y, sample_weight, **options):
        loss, gradients, tensors = right(network, parameters, x, y, sample_weight, **options)
        tensors[-1]["dlosses"] = tf.cast(seed(sample_weight, 33), tf.float64)
        return loss, gradients, tensors

    monkeypatch.setattr(manual, "loss_gradients_and_tensors", wrong)
    wrong = first_wrong(run_cell(Cell(DENSE, "float64", "eager")))
    assert (wrong.comparison.tensor, wrong.comparison.cause) == ("dlosses", said)


def test_a_whole_pass_compares_every_tensor_that_both_tell():
    results = run_cell(Cell(DEEP, "float64", "eager"))
    told = {pair: {r.comparison.tensor for r in results if (r.pair, r.scope) == (pair, "end to end")} for pair in (
        "manual-reference", "tape-reference")}  # fmt: skip
    layers = {f"layer {i} {name}" for i in (0, 1) for name in ("z", "y", "dz", "dkernel", "dbias")}
    assert told["tape-reference"] == {*layers, "outputs", "losses", "loss"}
    seeds = {"dlosses", "doutputs", "layer 0 dy", "layer 1 dy"}
    assert told["manual-reference"] == told["tape-reference"] | seeds


def test_a_tape_that_is_wrong_is_named(monkeypatch):
    right = tape.dense.dense_forward
    monkeypatch.setattr(tape.dense, "dense_forward", lambda x, kernel, bias=None: right(x, kernel))
    results = run_cell(Cell(DENSE, "float64", "eager"))
    writing, found = at_fault(results, first_wrong(results))
    assert (writing, found.tensor, found.cause) == ("tape", "layer 0 z", "the term bias is missing")


@pytest.mark.parametrize("mode", MODES)
def test_of_many_trials_in_one_program_one_that_raises_stands_alone(mode):
    def trial(name, run):
        fed = {"x": np.ones((2, 3))}
        return SuiteCase(Topic(name), name, "manual", run, fed, {"y": np.full((2, 3), 2.0)}, {"y": 0.0})

    def fails_as_it_runs(fed):
        return {"y": tf.gather(2 * fed["x"], tf.range(4))}

    trials = [
        trial("right", lambda fed: {"y": 2 * fed["x"]}),
        trial("raises", lambda fed: {"y": fed["no such"]}),
        trial("fails", fails_as_it_runs),
        trial("wrong", lambda fed: {"y": -2 * fed["x"]}),
    ]
    results = run_trials(trials, "layers", Cell(None, "float64", mode))
    said = {r.cell.case.name: r.comparison.mistake for r in results}
    assert said["right"] == ""
    assert said["raises"].startswith("KeyError")
    # XLA takes the last row once more instead of raising: a wrong shape, then
    assert ("shape (4, 3)" if mode == "xla" else "not in [0, 2)") in said["fails"]
    assert said["wrong"].startswith("the sign is flipped")
