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
@pytest.mark.parametrize("axis", [-1, 1, [1, 2]], ids=str)
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
