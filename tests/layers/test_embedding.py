"""Embedding: the same numbers as Keras's own layer, in every way to run and differentiate it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import layers
from tfbp.layers import hand_written_sequences

X = tf.constant(np.random.default_rng(0).integers(0, 7, (5, 4)))
DY = tf.constant(np.random.default_rng(1).normal(size=(5, 4, 3)))


# a table of more rows than there are tokens, whose gradient is a list of rows, and one of fewer
ROWS = {"list": 30, "table": 7}


def pair(dtype="float64", rows=7, **options):
    ours, theirs = (room.Embedding(rows, 3, dtype=dtype, **options) for room in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build()
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def gradients(layer, x, dy):
    with tf.GradientTape() as tape:
        y = layer(x)
    dembeddings = tape.gradient(y, layer.trainable_variables[0].value, output_gradients=tf.cast(dy, y.dtype))
    return y, tf.convert_to_tensor(dembeddings)


def second_order(layer, x, dy):
    with tf.GradientTape() as tape:
        tape.watch(dy)
        loss = tf.reduce_sum(gradients(layer, x, dy)[1] ** 2)
    return (tape.gradient(loss, dy),)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla", "unknown-shape"])
@pytest.mark.parametrize("run", [gradients, second_order], ids=lambda run: run.__name__)
@pytest.mark.sampled(3)
def test_the_numbers_are_keras_s(run, mode, rows):
    for x in (X, X - ROWS[rows], tf.cast(X, tf.uint8), tf.cast(X, tf.float32))[: 4 if mode == "eager" else 1]:
        found = []
        for layer in pair(rows=ROWS[rows]):
            function = lambda x, dy, layer=layer: run(layer, x, dy)  # noqa: E731
            if mode != "eager":
                unknown = [tf.TensorSpec([None, None], x.dtype), tf.TensorSpec([None, None, 3], DY.dtype)]
                signature = {"input_signature": unknown} if mode == "unknown-shape" else {}
                function = tf.function(function, jit_compile=mode == "xla", autograph=False, **signature)
            found.append(function(x, DY))
        for got, expected in zip(*found, strict=True):
            assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
            np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16"])
def test_dtypes_are_keras_s(policy):
    (y, dw), (expected, right) = (gradients(layer, X, DY) for layer in pair(policy))
    assert (y.dtype, dw.dtype) == (expected.dtype, right.dtype)
    np.testing.assert_array_equal(tf.cast(y, tf.float32), tf.cast(expected, tf.float32))


@pytest.mark.parametrize(
    ("options", "by_hand"),
    [({}, True), ({"mask_zero": True}, True), ({"lora_rank": 2}, False)],
    ids=["plain", "mask", "lora"],
)
def test_what_is_done_by_hand(monkeypatch, options, by_hand):
    ours, theirs = pair(**options)
    y, expected = ours(X), theirs(X)
    np.testing.assert_array_equal(y, expected)
    assert (getattr(y, "_keras_mask", None) is None) == (getattr(expected, "_keras_mask", None) is None)
    monkeypatch.setattr(hand_written_sequences, "look_up", lambda *given: 1 / 0)
    if by_hand:
        with pytest.raises(ZeroDivisionError):
            ours(X)
    else:
        ours(X)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_model_trains_as_keras_s_and_is_saved(jit_compile, tmp_path):
    rng, histories = np.random.default_rng(0), []
    x, y = rng.integers(0, 7, (20, 4)), rng.integers(0, 2, 20)
    for room in (layers, keras.layers):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((4,), dtype="int32"), room.Embedding(7, 3), keras.layers.Flatten(), room.Dense(2)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.5, momentum=0.9), loss, jit_compile=jit_compile)
        histories.append(model.fit(x, y, batch_size=10, epochs=2, shuffle=False, verbose=0).history["loss"])
        model.save(tmp_path / "model.keras")
        np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))
    np.testing.assert_allclose(*histories, rtol=1e-5)


@pytest.mark.parametrize("rows", [4, 9], ids=["table", "list"])
@pytest.mark.parametrize("optimizer", ["Adam", "RMSprop"])
def test_a_token_that_stands_twice_is_one_row_to_an_optimizer(optimizer, rows):
    """Keras's own layer hands over a row for each place, whose squares are added up."""
    x, weights = tf.constant([[1, 1, 1, 2]]), []
    dy = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, -6.0], [7.0, 8.0]]])
    total = tf.constant([[0.0, 0.0], [9.0, 0.0], [7.0, 8.0], *[[0.0, 0.0]] * (rows - 3)])
    for room in (layers, keras.layers):
        layer = room.Embedding(rows, 2, "zeros")
        layer.build()
        update = getattr(keras.optimizers, optimizer)(0.1)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) * dy)
        update.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        weights.append(layer.get_weights()[0])
    dense = keras.Variable(np.zeros((rows, 2), "float32"))
    getattr(keras.optimizers, optimizer)(0.1).apply([total], [dense])
    np.testing.assert_allclose(weights[0], dense, rtol=1e-6)
    # the day that this fails, Keras has mended it, and the docstring is out of date
    assert np.abs(weights[1] - dense).max() > 0.05


@pytest.mark.parametrize("rows", [4, 9], ids=["table", "list"])
def test_a_clipped_norm_is_the_gradient_s(rows):
    layer = layers.Embedding(rows, 2, "zeros")
    layer.build()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([[1, 1, 1, 2]])))
    keras.optimizers.SGD(1.0, clipnorm=1.0).apply(
        tape.gradient(loss, layer.trainable_variables), layer.trainable_variables
    )
    np.testing.assert_allclose(np.linalg.norm(layer.get_weights()[0]), 1, rtol=1e-6)
