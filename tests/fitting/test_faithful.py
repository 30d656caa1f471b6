"""What nobody asked XLA for: under "auto" a fit raises, and gives the numbers, that Keras's default does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype(np.float32)
Y = RNG.normal(size=(24, 2)).astype(np.float32)
LABELS = RNG.integers(0, 3, 24)
TOKENS = RNG.integers(0, 5, (24, 4))
OPTIONS = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}


@pytest.fixture(autouse=True)
def xla_wherever_it_is_faithful(monkeypatch):
    monkeypatch.setenv("TFBP_AUTO_XLA", "on")


class Of(keras.layers.Layer):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def chain(*parts, shape=(3,), dtype=None, loss="mse", optimizer="adam"):
    def make():
        keras.utils.set_random_seed(1)
        layers = [
            type(part).from_config(part.get_config()) if isinstance(part, keras.Layer) else Of(part) for part in parts
        ]
        model = keras.Sequential([keras.Input(shape, dtype=dtype), *layers])
        model.compile(optimizer, loss)
        return model

    return make


def dense(units=2, **options):
    return keras.layers.Dense(units, **options)


def with_row(x, row, value):
    x = x.copy()
    x[row] = value
    return x


def grows(x):
    list_ = tf.TensorArray(tf.float32, 0, dynamic_size=True)
    for i in range(3):
        list_ = list_.write(i, x[:, i])
    return tf.reshape(tf.transpose(list_.stack()), [-1, 3])


def rooted(y, p):
    return tf.reduce_mean(tf.where(p > 0, tf.sqrt(p), 0.0), -1)


# by name: the model, its data, and whether XLA is tried, and stays
CASES = {
    "norm-of-zeros": (chain(dense(3, use_bias=False), keras.layers.UnitNormalization(), dense()), with_row(X, 5, 0), Y),
    "cosine-of-zeros": (chain(dense(2, kernel_initializer="zeros"), loss="cosine_similarity"), X, Y),
    "where-sqrt": (chain(dense(), loss=rooted), X, Y),
    "rsqrt": (chain(dense(), lambda x: tf.where(x > 0, tf.math.rsqrt(x), 0.0)), X, Y),
    "token-out-of-range": (
        chain(keras.layers.Embedding(5, 2), keras.layers.Flatten(), dense(), shape=(4,), dtype="int32"),
        with_row(TOKENS, 9, 5),
        Y,
    ),
    "computed-token": (
        chain(
            lambda x: x * 2 - 3,
            keras.layers.Embedding(5, 2),
            keras.layers.Flatten(),
            dense(),
            shape=(4,),
            dtype="int32",
        ),
        TOKENS,
        Y,
    ),
    "label-out-of-range": (
        chain(dense(3, activation="softmax"), loss="sparse_categorical_crossentropy"),
        X,
        with_row(LABELS, 7, 3),
    ),
    "label-nan": (
        chain(dense(3, activation="softmax"), loss="sparse_categorical_crossentropy"),
        X,
        with_row(LABELS.astype(np.float32), 7, np.nan),
    ),
    "check-numerics": (chain(lambda x: tf.debugging.check_numerics(x, "here"), dense()), with_row(X, 3, np.inf), Y),
    "assert": (chain(lambda x: _asserted(x), dense()), X, Y),
    "divided-by-zero": (chain(lambda x: x + tf.cast(7 // tf.cast(x * 0, tf.int32), tf.float32), dense()), X, Y),
    "list-that-grows": (chain(grows, dense()), X, Y),
    "tf-random": (chain(lambda x: x + tf.random.normal(tf.shape(x)), dense()), X, Y),
    "maximum-of-nan": (
        chain(
            dense(4), lambda x: x[:, :, None], keras.layers.GlobalMaxPooling1D(data_format="channels_first"), dense()
        ),
        with_row(X, 9, [1e38, 0, 0]),
        Y,
    ),
    "max-of-sqrt": (chain(dense(4), lambda x: tf.reduce_max(tf.math.log(x), -1, keepdims=True)), X, Y),
    "second-of-two": (chain(dense(4), lambda x: tf.maximum(0.0, tf.math.log(x)), dense()), X, Y),
    "float-to-int": (chain(dense(), lambda x: x + tf.cast(tf.cast(x * 1e20, tf.int32), tf.float32)), X, Y),
    "segments": (
        chain(
            dense(4), lambda x: tf.math.unsorted_segment_sum(tf.transpose(x), tf.cast(x[0] * 9, tf.int32), 4)[:1] + x
        ),
        X,
        RNG.normal(size=(24, 4)),
    ),
    "scattered": (chain(lambda x: x + tf.scatter_nd(tf.cast(x[:1, :1] * 9, tf.int32), [1.0], [3]), dense()), X, Y),
    "integer-power": (chain(lambda x: x + tf.cast(2 ** tf.cast(x, tf.int32), tf.float32), dense()), X, Y),
    "inverse": (chain(lambda x: x + tf.linalg.inv(x[:, :, None] * x[:, None, :])[:, 0], dense()), X, Y),
}


def _asserted(x):
    tf.debugging.assert_greater(x, -1.0)
    return x


def outcome(fit, make, x, y):
    model = make()
    try:
        history = fit(model, x, y, **OPTIONS)
    except Exception as error:
        return type(error).__name__, None, None
    return "trained", history.history["loss"], model.get_weights()


@pytest.mark.parametrize("name", CASES)
def test_what_xla_would_compute_otherwise_is_keras_s(name):
    make, x, y = CASES[name]
    expected, got = outcome(keras.Model.fit, make, x, y), outcome(tfbp.fit, make, x, y)
    assert got[0] == expected[0]
    if expected[0] == "trained":
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-4)
        for ours, theirs in zip(got[2], expected[2], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
