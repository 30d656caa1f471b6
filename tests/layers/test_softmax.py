"""Softmax with a mask: Keras's numbers and gradients, and its words for a mask that does not fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import layers

RNG = np.random.default_rng(1)
X = tf.constant(RNG.normal(size=(4, 3, 5)), "float32")
MASKS = {
    "full": RNG.random((4, 3, 5)) > 0.4,
    "row": RNG.random(5) > 0.4,
    "floats": RNG.random((4, 3, 5)).astype("float32"),
    "a-row-of-nothing": np.arange(60).reshape(4, 3, 5) >= 5,
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("axis", [-1, np.int64(1), [1, 2]], ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_gives_keras_s_numbers_and_gradient(mask, axis, dtype):
    x, dy = tf.cast(X, dtype), tf.cast(X[::-1], dtype)
    found = []
    for room in (layers, keras.layers):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = room.Softmax(axis, dtype=dtype)(x, mask=tf.constant(MASKS[mask]))
        found.append((y, tape.gradient(y, x, output_gradients=dy)))
    unit = {"float64": 2**-53, "float32": 2**-24, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
    for a, e in zip(*found, strict=True):
        assert a.dtype == e.dtype
        a, e = (tf.cast(t, tf.float64) for t in (a, e))
        np.testing.assert_allclose(a, e, rtol=0, atol=32 * unit)


def test_a_mask_that_does_not_fit_is_refused_in_keras_s_words():
    with pytest.raises(ValueError, match="must be broadcastable to `inputs`"):
        layers.Softmax()(X, mask=tf.ones((2, 5), tf.bool))


MASK_DTYPES = ["bool", "int32", "int64", "int8", "uint8", "float16", "float32", "float64"]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype", MASK_DTYPES)
def test_a_mask_of_any_dtype(dtype, jit_compile):
    mask = MASKS["full"].astype(dtype)
    expected = layers.Softmax()(X, mask=MASKS["full"])
    ours, theirs = layers.Softmax(), keras.layers.Softmax()
    np.testing.assert_array_equal(ours(X, mask=mask), expected)  # as NumPy has it
    np.testing.assert_array_equal(ours(X, mask=mask.tolist()), expected)
    np.testing.assert_allclose(theirs(X, mask=tf.constant(mask)), expected, atol=1e-6)
    run = tf.function(lambda x, mask: ours(x, mask=mask), jit_compile=jit_compile)
    np.testing.assert_allclose(run(X, tf.constant(mask)), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_a_functional_model_s_mask_of_any_dtype(dtype):
    x, mask = keras.Input((3, 5)), keras.Input((3, 5), dtype=dtype)
    values = MASKS["full"].astype(dtype)
    y, expected = (
        keras.Model([x, mask], room.Softmax()(x, mask=mask)).predict([X.numpy(), values], verbose=0)
        for room in (layers, keras.layers)
    )
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda room: room.Softmax(),
        lambda room: room.Softmax(1),
        lambda room: room.Softmax([-1]),
        lambda room: room.Activation("softmax"),
        lambda room: room.Dense(1, "softmax"),
        lambda room: room.Dense(1, keras.layers.Softmax()),
    ],
    ids=["Softmax", "Softmax-axis-1", "Softmax-axes", "Activation", "Dense", "Dense-layer"],
)
def test_keras_s_warning_of_a_softmax_of_size_1(make):
    x = tf.ones((2, 1))
    words = []
    for room in (layers, keras.layers):
        with pytest.warns(UserWarning, match="This axis has size 1") as caught:
            make(room)(x)
        words.append([str(warning.message) for warning in caught])
    assert words[0] == words[1]


def test_an_axis_of_numpy_s_is_one_axis():
    x = tf.constant([[np.nan, 1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(layers.Softmax(np.int64(1))(x), keras.layers.Softmax(np.int64(1))(x))
