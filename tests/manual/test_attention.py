"""Attention by hand against the reference, whole and in chunks, and the reference against complex steps."""

import itertools
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from writings import compiled, tensor

from tfbp.agreement.problems import round_to
from tfbp.agreement.tolerances.monte_carlo import sensitivity
from tfbp.judging.comparison import compare
from tfbp.judging.differences import complex_step
from tfbp.judging.tolerances import Units
from tfbp.manual import attention, chunks
from tfbp.reference import attention as reference
from tfbp.reference.dropout import dropout_mask
from tfbp.rehearsal.operations import gradient_kernels, in_graph
from tfbp.tape import attention as tape

NAMES = ("y", "dquery", "dkey", "dvalue")
B, H, V = 2, 3, 5
# queries, keys, query heads, key heads, causal, shapes of masks
CASES = {
    "plain": (7, 9, 2, 2, False, ()),
    "causal": (9, 9, 4, 2, True, ()),
    "causal-short": (9, 6, 2, 1, True, ()),
    "padding": (7, 9, 4, 2, False, ((B, 1, 1, 9),)),
    "blind-queries": (9, 7, 4, 1, True, ((B, 1, 1, 7), (B, 1, 9, 1))),
    "of-heads": (9, 7, 4, 2, True, ((1, 4, 9, 7),)),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for name in ("CHUNK", "CHUNK_OF_XLA", "CHUNK_ON_GPU"):
        monkeypatch.setattr(chunks, name, 4)
    monkeypatch.setattr(chunks, "BANDS", 3)


def problem(name, dtype="float64"):
    queries, keys, heads, key_heads, causal, masks = CASES[name]
    rng = np.random.default_rng([*name.encode()])
    shapes = (B, queries, heads, H), (B, keys, key_heads, H), (B, keys, key_heads, V), (B, queries, heads, V)
    return [round_to(rng.normal(size=s), dtype) for s in shapes], [rng.random(s) > 0.4 for s in masks], causal


def by_reference(arrays, masks, causal, **options):
    mask = None
    for each in masks:
        mask = each if mask is None else mask & each
    y, residuals = reference.attention_forward(*arrays[:3], mask, causal=causal, **options)
    return dict(zip(NAMES, (y, *reference.attention_backward(arrays[3], residuals)), strict=True))


def by_hand(arrays, masks, causal, room=attention, **options):
    y, residuals = room.attention_forward(*arrays[:3], masks, causal=causal, **options)
    return dict(zip(NAMES, (y, *room.attention_backward(arrays[3], residuals)), strict=True))


@cache
def expected_of(name):
    return by_reference(*problem(name))


def long(monkeypatch, in_chunks, room=attention):
    for limit in ("LONG", "LONG_FOR_XLA"):
        monkeypatch.setattr(room, limit, 0 if in_chunks else 10**9)


@pytest.mark.parametrize(
    ("gpu", "causal", "shortest"),
    [(False, True, 1024), (False, False, 4096), (True, True, 8192), (True, False, 32768)],
    ids=["cpu-causal", "cpu", "gpu-causal", "gpu"],
)
def test_from_which_length_on_it_goes_in_chunks(monkeypatch, gpu, causal, shortest):
    monkeypatch.setattr(attention, "has_gpu", lambda: gpu)
    for length in (shortest - 1, shortest):
        q, k = tf.zeros([1, 1, 1, length, 1]), tf.zeros([1, 1, length, 1])
        assert attention._is_long(q, k, causal) == (length == shortest)


@pytest.mark.parametrize(
    ("name", "in_chunks", "dtype", "mode"),
    [
        *((name, in_chunks, "float64", "eager") for name in CASES for in_chunks in (False, True)),
        *((name, True, "float64", "xla") for name in ("causal", "blind-queries")),
        *(("blind-queries", in_chunks, "float32", "graph") for in_chunks in (False, True)),
        *(
            ("causal", in_chunks, dtype, "eager")
            for in_chunks, dtype in itertools.product((False, True), ("bfloat16", "float16"))
        ),
    ],
)
def test_by_hand_agrees_with_the_reference(monkeypatch, name, in_chunks, dtype, mode):
    long(monkeypatch, in_chunks)
    arrays, masks, causal = problem(name, dtype)
    run = compiled(lambda arrays, masks: by_hand(arrays, masks, causal), mode)
    got = run([tensor(a, dtype) for a in arrays], list(map(tf.constant, masks)))
    expected = by_reference(arrays, masks, causal)
    tolerances = sensitivity(
        lambda noise: by_reference(list(map(noise.on, arrays)), masks, causal), expected, Units.of(dtype)
    )
    for key, value in expected.items():
        found = compare(key, got[key], value, tolerances[key], dtype)
        assert found.agrees, f"{key}: {found.ratio:.3g} of its tolerance; {found.mistake}"


@pytest.mark.parametrize("name", CASES)
def test_the_reference_s_gradient_is_that_of_complex_steps_and_the_tape_s(name):
    arrays, masks, causal = problem(name)
    expected = expected_of(name)
    for index, key in enumerate(NAMES[1:]):

        def loss(value, index=index):
            given = [value if i == index else a for i, a in enumerate(arrays)]
            return (arrays[3] * by_reference([*given[:3], arrays[3]], masks, causal)["y"]).sum()

        if name in ("causal", "blind-queries"):
            np.testing.assert_allclose(complex_step(loss, arrays[index]), expected[key], rtol=0, atol=1e-12)
    given = [tf.constant(a) for a in arrays]
    mask = np.logical_and.reduce(np.broadcast_arrays(*masks)) if masks else None
    with tf.GradientTape() as record:
        record.watch(given[:3])
        y = tape.attention_forward(*given[:3], mask, causal=causal)
    found = [y, *record.gradient(y, given[:3], output_gradients=given[3])]
    for got, value in zip(found, expected.values(), strict=True):
        np.testing.assert_allclose(got, value, rtol=0, atol=1e-12)


def test_dropout_is_that_of_the_probabilities():
    arrays, masks, causal = problem("causal")
    kept = dropout_mask((B, 4, 9, 9), (5, 7), 0.3)
    expected = by_reference(arrays, masks, causal, rate=0.3, seed=(5, 7))
    got = by_hand([tf.constant(a) for a in arrays], masks, causal, dropped=(tf.constant(kept), 0.3))
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-12)
    assert np.abs(expected["y"] - expected_of("causal")["y"]).max() > 0.1


@pytest.mark.parametrize("name", ["blind-queries", "causal-short"])
@pytest.mark.parametrize(
    ("jit_compile", "in_chunks"),
    [(False, True), (False, False), (True, True)],
    ids=["graph-chunks", "graph-whole", "xla"],
)
@pytest.mark.sampled(1)
def test_lengths_that_are_unknown_to_a_trace(monkeypatch, name, jit_compile, in_chunks):
    long(monkeypatch, in_chunks)
    arrays, masks, causal = problem(name)
    signature = [[tf.TensorSpec([None, None, *a.shape[2:]], tf.float64) for a in arrays]]
    signature.append([tf.TensorSpec([None if size > 1 else 1 for size in m.shape], tf.bool) for m in masks])
    run = tf.function(
        lambda arrays, masks: by_hand(arrays, masks, causal), signature, jit_compile=jit_compile, autograph=False
    )
    got = run(list(map(tf.constant, arrays)), list(map(tf.constant, masks)))
    for key, value in expected_of(name).items():
        np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("length", "taken"), [(7, "whole"), (8, "chunks")])
def test_how_long_a_sequence_is_is_seen_as_it_runs(monkeypatch, length, taken):
    """Where 64 scores and more go in chunks: each branch is broken in turn, and the one that is taken shows it."""
    monkeypatch.setattr(attention, "LONG", 4)
    monkeypatch.setattr(attention, "LATER", 16)
    arrays = [tf.constant(a) for a in np.random.default_rng(0).normal(size=(4, B, length, 2, H))]
    expected = by_hand(arrays, (), True)
    module = {"whole": attention, "chunks": chunks}[taken]
    right = getattr(module, f"{taken}_backward")
    monkeypatch.setattr(module, f"{taken}_backward", lambda *given: tuple(2 * each for each in right(*given)))
    signature = [[tf.TensorSpec([None, None, 2, H], tf.float64)] * 4]
    got = tf.function(lambda arrays: by_hand(arrays, (), True), signature, autograph=False)(arrays)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=0, atol=1e-12)
    for key in GRADIENTS:
        np.testing.assert_allclose(got[key], 2 * expected[key], rtol=0, atol=1e-12)


def test_no_gradient_kernel_is_called_and_no_whole_matrix_held(monkeypatch):
    long(monkeypatch, True)
    shapes = [(1, 64, 2, 3)] * 4
    run = tf.function(lambda *arrays: by_hand(arrays, (), True), autograph=False)
    graph = run.get_concrete_function(*(tf.TensorSpec(s, tf.float32) for s in shapes)).graph
    assert gradient_kernels(in_graph(graph)) == []
    graphs = [graph, *(each._cached_graph for each in graph._functions.values() if each._cached_graph)]
    sizes = [out.shape for each in graphs for op in each.get_operations() for out in op.outputs]
    assert max(size.num_elements() or 0 for size in sizes if size.rank is not None) <= 2 * 4 * 64
    assert any(size.rank == 5 and size[-2:] == (4, 64) for size in sizes)


GRADIENTS = {"dquery", "dkey", "dvalue"}
