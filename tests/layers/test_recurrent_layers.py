"""Recurrent layers: the same numbers as Keras's own layer, in every way to run and differentiate it."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_hand_written import MODES
from test_released_graphs import entries

from tfbp import layers
from tfbp.layers import hand_written_sequences

BACKWARDS = {"return_sequences": True, "go_backwards": True}
# layer: (name of the class, arguments)
LAYERS = {
    "SimpleRNN": ("SimpleRNN", {"units": 3}),
    "SimpleRNN-backwards": ("SimpleRNN", {"units": 3, "activation": "relu", "use_bias": False, **BACKWARDS}),
    "LSTM": ("LSTM", {"units": 3}),
    "LSTM-backwards": ("LSTM", {"units": 3, "activation": "elu", "use_bias": False, **BACKWARDS}),
    "GRU": ("GRU", {"units": 3}),
    "GRU-before": ("GRU", {"units": 3, "reset_after": False, "recurrent_activation": "hard_sigmoid"}),
    "GRU-backwards": ("GRU", {"units": 3, **BACKWARDS}),
}
SHAPE = (4, 3, 2)


def pair_of(name, dtype="float64", **more):
    kind, arguments = LAYERS[name]
    rng = np.random.default_rng([*name.encode()])
    ours, theirs = (getattr(room, kind)(**arguments, **more, dtype=dtype) for room in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build(SHAPE)
    ours.set_weights([rng.normal(size=w.shape) for w in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    x = tf.constant(rng.normal(size=SHAPE))
    y, _ = ours(x), theirs(x)
    return ours, theirs, x, tf.constant(rng.normal(size=tf.nest.flatten(y)[0].shape))


def assert_equal(got, expected, rtol=1e-12):
    assert len(got) == len(expected)
    for a, e in zip(got, expected, strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        np.testing.assert_allclose(a, e, rtol=0, atol=rtol * (1 + np.abs(e).max()))


class Masked:
    """A layer under a mask that is made of x, and so goes wherever x goes."""

    def __init__(self, layer):
        self.layer, self.trainable_variables = layer, layer.trainable_variables

    def __call__(self, x):
        return self.layer(x, mask=x[..., 0] > -0.3)


def outcome(mode, layer, x, dy):
    try:
        return mode(layer, x, dy)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def assert_as_keras_s(mode, ours, theirs, x, dy):
    """Ours is not compared where Keras's own layer fails."""
    expected = outcome(mode, theirs, x, dy)
    if isinstance(expected, str):
        return
    got = outcome(mode, ours, x, dy)
    assert not isinstance(got, str), got
    assert_equal(got, expected)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("LSTM", mode) for mode in MODES),
        *((name, MODES[1]) for name in LAYERS if name != "LSTM"),
        *((name, mode) for name in ("SimpleRNN", "GRU-backwards") for mode in MODES if "second" in mode.__name__),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.sampled(5)
def test_the_numbers_are_keras_s(name, mode):
    ours, theirs, x, dy = pair_of(name)
    assert_as_keras_s(mode, ours, theirs, x, dy)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("LSTM", mode) for mode in MODES),
        *((name, MODES[2]) for name in LAYERS if name != "LSTM"),
        *((name, mode) for name in ("SimpleRNN", "GRU-backwards") for mode in MODES if "second" in mode.__name__),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.sampled(5)
def test_under_a_mask_the_numbers_are_keras_s(name, mode):
    ours, theirs, x, dy = pair_of(name)
    assert_as_keras_s(mode, Masked(ours), Masked(theirs), x, dy)


# whole, padded after, padded before, nothing left
MASK = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
ORDERS = [{}, {"zero_output_for_mask": True}, {"return_sequences": True, "zero_output_for_mask": True}, BACKWARDS]


@pytest.mark.parametrize("order", [None, *ORDERS], ids=lambda order: "whole" if order is None else "-".join(order))
@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.sampled(4)
def test_under_xla_with_states_in_and_out(name, order):
    """Without a mask, and under one."""
    ours, theirs, x, _ = pair_of(name, return_state=True, **(order or {}))
    rng, mask = np.random.default_rng(0), None if order is None else tf.constant(MASK)
    states = [tf.constant(rng.normal(size=(4, 3))) for _ in range(1 + (name == "LSTM"))]

    def run(layer, x, *states):
        with tf.GradientTape() as tape:
            tape.watch((x, states))
            y, *last = layer(x, initial_state=list(states), mask=mask)
            loss = tf.reduce_sum(tf.cos(y)) + sum(tf.reduce_sum(tf.sin(each)) for each in last)
        return [y, *last, *tape.gradient(loss, [x, *states, *(w.value for w in layer.trainable_variables)])]

    expected = tf.function(lambda *given: run(theirs, *given), autograph=False)(x, *states)
    for options in ({}, {"jit_compile": True}):
        assert_equal(tf.function(lambda *given: run(ours, *given), autograph=False, **options)(x, *states), expected)


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_a_tape_around_what_is_compiled(jit):
    """XLA hands no list out: what the forward kept is made again."""
    ours, theirs, x, dy = pair_of("LSTM")
    found = []
    for layer, options in ((ours, {"jit_compile": jit}), (theirs, {})):
        function = tf.function(layer, autograph=False, **options)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        found.append([y, *tape.gradient(y, [x, *(w.value for w in layer.trainable_variables)], output_gradients=dy)])
    assert_equal(*found)


def test_a_batch_after_another_goes_on_where_it_ended():
    ours, theirs, x, _ = pair_of("GRU", stateful=True)
    ours.reset_state()
    theirs.reset_state()
    for _ in range(2):
        np.testing.assert_allclose(ours(x), theirs(x), rtol=0, atol=1e-13)
    assert np.abs(ours.states[0]).max() > 0


@pytest.mark.parametrize(
    ("name", "arguments", "called"),
    [
        ("LSTM", {}, {"mask": MASK[:1]}),
        ("SimpleRNN", {}, {"mask": MASK[..., None].repeat(3, -1)}),
        ("GRU", {"unroll": True}, {"mask": MASK}),
        ("GRU", {"unroll": True}, {}),
        ("LSTM", {"dropout": 0.5, "seed": 3}, {"training": True}),
        ("GRU", {"recurrent_dropout": 0.5, "seed": 3}, {"training": True}),
        ("SimpleRNN", {"activation": keras.layers.ELU(dtype="float64")}, {}),
        ("SimpleRNN", {"activation": lambda x: x / 2}, {}),
    ],
    ids=["mask-of-one", "mask-of-units", "mask-unroll", "unroll", "dropout", "recurrent-dropout", "layer", "callable"],
)
def test_what_is_left_to_keras(monkeypatch, name, arguments, called):
    ours, theirs, x, _ = pair_of(name, **arguments)
    monkeypatch.setattr(hand_written_sequences, "recur", lambda *given, **options: 1 / 0)
    np.testing.assert_allclose(ours(x, **called), theirs(x, **called), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_the_rest_is_by_hand(monkeypatch, name):
    """Dropout in inference among it."""
    ours, _, x, _ = pair_of(name, dropout=0.5)
    monkeypatch.setattr(hand_written_sequences, "recur", lambda *given, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ours(x)


MASKS = {
    "floats": MASK * 0.25,
    "integers": MASK.astype("int32") * -1,
    "column": MASK[..., None],
    "column-of-floats": MASK[..., None] * 2.0,
    "list": [MASK, None],
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_a_mask_of_any_dtype(monkeypatch, name, mask):
    """By hand: Keras's own loop is not called. Keras's SimpleRNN takes no list."""
    ours, theirs, x, _ = pair_of(name)
    given = tf.nest.map_structure(lambda a: None if a is None else tf.constant(a), MASKS[mask])
    expected = theirs(x, mask=given[0] if mask == "list" else given)
    monkeypatch.setattr(keras.layers.RNN, "inner_loop", lambda *given, **options: 1 / 0)
    np.testing.assert_allclose(ours(x, mask=given), expected, rtol=0, atol=1e-13)


def test_cudnn_without_a_gpu_is_keras_s_error():
    for room in (layers, keras.layers):
        with pytest.raises(ValueError, match="use_cudnn=True was specified"):
            room.LSTM(3, use_cudnn=True)(np.ones(SHAPE, "float32"))


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_where_keras_calls_cudnn_so_is_it_here_but_under_xla_which_cannot(monkeypatch, name, jit_compile):
    ours, theirs, x, _ = pair_of(name)
    expected = theirs(x)
    left_to_keras = []

    def keras_s(self, *given, **options):
        left_to_keras.append(name)
        return inner_loop(self, *given, **options)

    inner_loop = keras.layers.RNN.inner_loop
    monkeypatch.setattr("tfbp.layers.recurrent.cudnn_ok", lambda *given, **options: True)
    monkeypatch.setattr(keras.layers.RNN, "inner_loop", keras_s)
    y = tf.function(lambda x: ours(x), jit_compile=jit_compile, autograph=False)(x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)
    assert left_to_keras == ([] if jit_compile else [name])


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_dtypes_are_keras_s(name, policy, mask):
    # Keras's orthogonal start is not drawn in bfloat16
    ours, theirs, x, _ = pair_of(name, policy, recurrent_initializer="glorot_uniform")
    y, expected = ours(x, mask=mask), theirs(x, mask=mask)
    assert y.dtype == expected.dtype
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    unit = {"float32": 2.0**-24, "mixed_float16": 2.0**-11}.get(policy, 2.0**-8)
    y, expected = (np.asarray(tf.cast(a, tf.float64)) for a in (y, expected))
    np.testing.assert_allclose(y, expected, rtol=0, atol=16 * unit)


@pytest.mark.parametrize("name", ["SimpleRNN-backwards", "LSTM", "GRU-before"])
def test_saved_and_loaded_and_exported(name, tmp_path):
    kind, arguments = LAYERS[name]
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, getattr(layers, kind)(**arguments)(inputs))
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is getattr(layers, kind)
    np.testing.assert_array_equal(loaded(x), model(x))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    found = []
    for each in (served.serve, model):
        given = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            y = each(given)
        found.append([y, tape.gradient(y, given)])
    assert_equal(*found, rtol=1e-6)


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_the_mask_of_an_embedding_goes_through_a_bidirectional_and_on(monkeypatch, name):
    rng, found = np.random.default_rng(0), []
    tokens = tf.constant([[0, 2, 1, 0], [3, 4, 5, 2], [0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 1]])
    dy = tf.constant(rng.normal(size=(5, 3)))
    for room in (keras.layers, layers):
        keras.utils.set_random_seed(1)
        kind = getattr(room, name)
        model = keras.Sequential(
            [
                keras.layers.Embedding(6, 4, mask_zero=True, dtype="float64"),
                keras.layers.Bidirectional(kind(3, return_sequences=True, dtype="float64"), dtype="float64"),
                keras.layers.Bidirectional(kind(3, dtype="float64"), merge_mode="sum", dtype="float64"),
            ]
        )
        with tf.GradientTape() as tape:
            y = model(tokens)
        variables = [w.value for w in model.trainable_variables]
        found.append([y, *map(tf.convert_to_tensor, tape.gradient(y, variables, output_gradients=dy))])
        monkeypatch.setattr(keras.layers.RNN, "inner_loop", lambda *given, **options: 1 / 0)
    assert_equal(*found)


def test_a_model_of_them_trains_as_keras_s():
    """Bidirectional, and stacked with dropout, which is left to Keras."""
    rng, histories = np.random.default_rng(0), []
    x, y = rng.normal(size=(32, 5, 2)).astype("float32"), rng.integers(0, 3, 32)
    for room in (layers, keras.layers):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((5, 2)),
                keras.layers.Bidirectional(room.LSTM(4, return_sequences=True)),
                room.GRU(4, dropout=0.2, seed=3),
                room.Dense(3),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=False)
        histories.append(model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)


@pytest.mark.usefixtures("only_new_garbage")
def test_a_graph_goes_with_its_function():
    ours, _, x, dy = pair_of("LSTM")
    MODES[0](ours, x, dy)
    before = entries()
    function = tf.function(lambda x, dy: MODES[0](ours, x, dy), autograph=False)
    function(x, dy)
    assert entries() > before
    del function
    gc.collect()
    assert entries() == before
