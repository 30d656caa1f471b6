"""The bound of an example's part of the sum: no rounding lets a part exceed it."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from private_models import L, logits, norms_of, one_tape_an_example

from tfbp.fitting import arrays
from tfbp.manual.dense import example_squares, product_squares
from tfbp.privacy import choosing, examples, refusals
from tfbp.privacy.clipping import clipped_sums, factors_of
from tfbp.privacy.parts import Product, Rows, squares


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=["float32", "float64"])
def test_factors_are_rounded_down(dtype):
    norms = np.random.default_rng(0).uniform(0.5, 5, 10_000)
    factors, good = factors_of(tf.constant(norms**2), 0.7, dtype, tf.ones([10_000], tf.bool))
    assert factors.dtype == dtype
    assert np.all(good)
    sizes = factors.numpy().astype(np.float64) * norms
    # below the bound by more than the norm's own rounding, and by little
    roundoff = np.finfo(dtype.as_numpy_dtype).eps
    clipped = norms > 0.7 * (1 + 1e-6)
    assert sizes.max() <= 0.7 * (1 - 15 * roundoff)
    assert sizes[clipped].min() >= 0.7 * (1 - 19 * roundoff)


def cancelling(rng, examples=200):
    """Two rows of an example, x ⊗ (dz + a small one) and x ⊗ -dz, in float32: the sum is x ⊗ the small one."""
    x = np.repeat(rng.normal(size=(examples, 1, 5)), 2, axis=1).astype(np.float32)
    dz = np.repeat(1e3 * rng.normal(size=(examples, 1, 6)), 2, axis=1).astype(np.float32)
    dz[:, 1] *= -1
    dz[:, 0] += (0.1 * rng.normal(size=(examples, 6))).astype(np.float32)
    return x, dz


@pytest.mark.parametrize("way", ["product", "rows", "manual"])
def test_large_terms_that_cancel_do_not_hide_a_gradient(way):
    x, dz = cancelling(np.random.default_rng(0))
    wide = x.astype(np.float64), dz.astype(np.float64)
    if way == "rows":
        right = np.sum(np.square(wide[1].sum(axis=1)), axis=1)
        found = squares([Rows(tf.zeros([len(x), 2], tf.int32), tf.constant(dz), 3)], tf.float32)
    else:
        right = np.sum(np.square(np.einsum("bti,bto->bio", *wide)), axis=(1, 2))
        given = tf.constant(x), tf.constant(dz)
        found = product_squares(*given) if way == "manual" else squares([Product(*given, tf.identity)], tf.float32)
    assert np.all(found.numpy() >= right * (1 - 1e-5))
    # by no more than the rounding of such terms
    terms = np.square(np.linalg.norm(dz, axis=2) * (1 if way == "rows" else np.linalg.norm(x, axis=2))).sum(axis=1)
    assert np.all(found.numpy() <= right + 1e-6 * terms)


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("way", ["product", "manual"])
def test_a_square_that_vanishes_does_not_hide_a_gradient(way, rows, mode):
    """dz below 1e-19 beside x about 1e18: the gradient is above the bound, and ‖dz‖² is 0 in float32."""
    rng = np.random.default_rng(0)
    x = (1e18 * rng.choice([-1.0, 1.0], (4, rows, 30)) * rng.uniform(0.5, 1, (4, rows, 30))).astype(np.float32)
    dz = (8e-20 * rng.uniform(-1, 1, (4, rows, 200))).astype(np.float32)
    x[3], dz[2] = 1, 0
    wide = np.einsum("bti,bto->bio", x.astype(np.float64), dz.astype(np.float64))
    right = np.sum(np.square(wide), axis=(1, 2))

    def found(x, dz):
        if way == "product":
            return squares([Product(x, dz, tf.identity)], tf.float32)
        layer = types.SimpleNamespace(use_bias=True)
        return example_squares(layer, *((x[:, 0], dz[:, 0]) if rows == 1 else (x, dz)))["kernel"]

    got = tf.function(found, jit_compile=mode == "xla")(tf.constant(x), tf.constant(dz)).numpy()
    assert got.shape == (4,)
    assert got.dtype == np.float32
    assert np.all(right[:2] > 1)
    assert np.all(got >= right * (1 - 1e-5) - 1e-30)
    # what is small beside every bound is not raised
    assert got[3] <= 1e-30


def test_a_clipped_sum_by_tape_is_that_of_one_tape_an_example():
    class Own(keras.Sequential):
        def build(self, shape):
            self.gain = self.add_weight(shape=(4,), initializer="ones", name="gain")
            super().build(shape)

        def call(self, x, training=None):
            return super().call(x * self.gain)

    rng = np.random.default_rng(0)
    model, x, y = Own([L.Dense(3)]), rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    model.compile("sgd", logits())
    data = arrays.packed(x, y)
    refusals.build(model, data)
    way = choosing.way_of(model, data)
    assert "gain" in way.reason
    gradients = one_tape_an_example(model, x, y)
    norms = norms_of(gradients)
    clip = float(np.median(norms))
    taken = np.array([True, True, False, True, True, True])
    sums = tf.function(
        lambda: clipped_sums(examples.find(model, way, data), clip, tf.float64, tf.constant(taken))[0], autograph=False
    )()
    factors = np.minimum(1, clip / norms) * taken
    for number, total in enumerate(sums):
        right = sum(factor * each[number] for factor, each in zip(factors, gradients, strict=True))
        np.testing.assert_allclose(total, right, rtol=1e-12, atol=1e-13 * clip)
