"""Under "auto" a fit raises the errors and gives the numbers of Keras's default, not those of XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import faithful

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


def segments(x):
    return tf.math.unsorted_segment_sum(tf.transpose(x), 2 + tf.cast(tf.abs(x[0]) + 1, tf.int32), 3)


def rooted(y, p):
    return tf.reduce_mean(tf.where(p > 0, tf.sqrt(p), 0.0), -1)


# by name: the model and its data
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
    "second-of-stacked-tokens": (
        chain(
            lambda x: tf.stack([x[:, 0], x[:, 1] * 3], 1),
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
    "pooled-nan": (
        chain(lambda x: x[:, :, None], keras.layers.GlobalMaxPooling1D(), dense()),
        with_row(X, 9, [np.nan, 0, 0]),
        Y,
    ),
    "max-of-log": (chain(dense(4), lambda x: tf.reduce_max(tf.math.log(x), -1, keepdims=True)), X, Y),
    "stacked-maxima": (
        chain(lambda x: tf.reduce_max(tf.stack([tf.nn.softmax(x), tf.math.log(x)]), 0), dense()),
        X,
        Y,
    ),
    "second-of-two": (chain(lambda x: tf.maximum(0.0, x), dense()), with_row(X, 9, [np.nan, 0, 0]), Y),
    "float-to-int": (chain(dense(), lambda x: x + tf.cast(tf.cast(x * 1e20, tf.int32), tf.float32)), X, Y),
    "segments": (chain(lambda x: x + tf.transpose(segments(x)), dense()), X, Y),
    "scattered": (chain(lambda x: x + tf.scatter_nd(tf.cast(x[:1, :1] * 9, tf.int32), [1.0], [3]), dense()), X, Y),
    "integer-power": (chain(lambda x: x + tf.cast(2 ** tf.cast(x, tf.int32), tf.float32), dense()), X, Y),
    "selu-of-zeros": (chain(dense(3, activation="selu"), dense()), with_row(X, 5, 0), Y),
    "segment-maxima": (
        chain(lambda x: x + tf.math.unsorted_segment_max(tf.math.log(x), [0] * 4 + [1] * 4, 2)[0], dense()),
        X,
        Y,
    ),
    "softmax-of-nan": (
        chain(
            lambda x: tf.concat([x, tf.math.log(x[:, :1])], 1),
            lambda x: tf.nn.softmax(x)[:, 1:3],
            dense(),
        ),
        np.abs(X) - 0.01,
        Y,
    ),
    "inverse": (chain(lambda x: x + tf.linalg.inv(x[:, :, None] * x[:, None, :])[:, 0], dense()), X, Y),
}


def _asserted(x):
    tf.debugging.assert_greater(x, -1.0)
    return x


# what TensorFlow raises for
RAISED = {
    *(
        "token-out-of-range",
        "computed-token",
        "second-of-stacked-tokens",
        "label-out-of-range",
        "label-nan",
        "check-numerics",
        "assert",
    ),
    *("divided-by-zero", "segments", "scattered", "integer-power", "inverse"),
}


def outcome(fit, make, x, y):
    model = make()
    try:
        history = fit(model, x, y, **OPTIONS)
    except Exception as error:
        return type(error).__name__, None, None
    return "trained", history.history["loss"], model.get_weights()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(3)
def test_what_xla_would_compute_otherwise_is_keras_s(name):
    make, x, y = CASES[name]
    expected, got = outcome(keras.Model.fit, make, x, y), outcome(tfbp.fit, make, x, y)
    assert got[0] == expected[0]
    assert (expected[0] == "InvalidArgumentError") == (name in RAISED)
    if name not in RAISED:
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-4)
        for ours, theirs in zip(got[2], expected[2], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_a_list_that_grows_and_an_index_computed_in_a_loop_are_found():
    def looks_up(x):
        return tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, tf.gather(y, y[0]) + y), (0, x))[1]

    specs = {grows: tf.TensorSpec([None, 3]), looks_up: tf.TensorSpec([3], tf.int32)}
    traced = [tf.function(each, autograph=False).get_concrete_function(spec) for each, spec in specs.items()]
    assert [faithful.refusal(each.graph) for each in traced] == ["TensorListSetItem", "GatherV2"]


FOUND = {
    "cholesky": lambda x: tf.linalg.cholesky(x[:, :, None] * x[:, None, :]),
    "qr": lambda x: tf.linalg.qr(x[:, :, None] * x[:, None, :])[0],
    "max-pool": lambda x: tf.nn.max_pool1d(x[:, :, None], 2, 1, "SAME"),
    "tridiagonal": lambda x: tf.linalg.tridiagonal_solve(tf.transpose(x), tf.ones([8]), diagonals_format="compact"),
    "triangular": lambda x: tf.linalg.triangular_solve(x[:3], tf.ones([3, 1])),
    "elu-gradient": lambda x: tf.gradients(tf.nn.elu(x), x)[0],
    "selu-gradient": lambda x: tf.gradients(tf.nn.selu(x), x)[0],
    "resize": lambda x: tf.image.resize(x[None, :, :, None], (8, 9)),
    "normal-quantiles": tf.math.ndtri,
    "in-top-k": lambda x: tf.math.in_top_k(tf.zeros([8], tf.int32), x, 1),
    "argmax": lambda x: tf.argmax(2 * x, -1),
    "softmax": lambda x: tf.nn.softmax(x),
    "cross-entropy": lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.eye(3)[:1], x),
    "hard-silu-gradient": lambda x: tf.gradients(keras.activations.hard_silu(x), x)[0],
    "root-as-a-power": lambda x: x**0.5,
    "quotient-of-quotients": lambda x: tf.gradients(x / tf.norm(x), x)[0],
    "cumulative-product": tf.math.cumprod,
}


@pytest.mark.parametrize("name", FOUND)
def test_what_differs_is_refused_or_watched(name):
    """Factorizations of singular matrices, and what is the largest of numbers that are not finite."""
    graph = tf.function(FOUND[name], autograph=False).get_concrete_function(tf.TensorSpec([8, 3])).graph
    with graph.as_default():
        assert faithful.refusal(graph) or faithful.alarms(graph.get_operations())


def gradient_at_zero(function):
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.where(x > 0, function(x), 0.0)
        return tape.gradient(y, x)

    return gradient


NAN = np.float32("nan")
ROWS = np.arange(3, dtype=np.float32)
# a line of the guide's table: a function, what it is given, what TensorFlow's kernels do, what XLA does
LINES = {
    "index-after-the-last": (lambda i: tf.gather(ROWS, i), 3, "raises", 2.0),
    "index-before-the-first": (lambda i: tf.gather(ROWS, i), -1, "raises", 0.0),
    "label": (lambda i: tf.nn.sparse_softmax_cross_entropy_with_logits(i, ROWS), 3, "raises", NAN),
    "quotient": (lambda i: 7 // i, 0, "raises", -1),
    "remainder": (lambda i: 7 % i, 0, "raises", 7),
    "check-numerics": (lambda x: tf.debugging.check_numerics(x, "here"), NAN, "raises", NAN),
    "assertion": (lambda x: tf.identity(x) if tf.debugging.assert_positive(x) is None else x + 0, -1.0, "raises", -1.0),
    "sqrt": (gradient_at_zero(tf.sqrt), np.float32(0), 0.0, NAN),
    "rsqrt": (gradient_at_zero(tf.math.rsqrt), np.float32(0), 0.0, NAN),
    "maximum": (lambda x: tf.maximum(0.0, x), NAN, NAN, 0.0),
    "reduce-max": (lambda x: tf.reduce_max(tf.stack([1.0, x])), NAN, NAN, 1.0),
    "argmax": (lambda x: tf.argmax(tf.stack([1.0, 3.0, x])), NAN, 1, 2),
    "softmax": (lambda x: tf.nn.softmax(tf.stack([x, x, 1.0]))[2], NAN, 0.0, NAN),
    "cross-entropy": (
        lambda x: tf.nn.softmax_cross_entropy_with_logits([0.0, 1.0], tf.stack([x, 1.0])),
        np.float32(-np.inf),
        NAN,
        0.0,
    ),
    "root-as-a-power": (lambda x: x**0.5, np.float32(-np.inf), NAN, np.float32(np.inf)),
    "quotient-of-quotients": (lambda x: 1e-20 / x / x, np.float32(1e-20), np.float32(1e20), np.float32(np.inf)),
    "cast-of-nan": (lambda x: tf.cast(x, tf.int32), NAN, -(2**31), 0),
    "cast-of-3e9": (lambda x: tf.cast(x, tf.int32), np.float32(3e9), -(2**31), 2**31 - 1),
    "inverse": (lambda x: tf.linalg.inv(tf.fill([2, 2], x))[0, 0] * 0 + 1, np.float32(1), "raises", 1.0),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.sampled(3)
def test_the_guide_s_table_is_true(name):
    function, given, *expected = LINES[name]
    for is_compiled, one in zip((False, True), expected, strict=True):
        compiled = tf.function(function, jit_compile=is_compiled, autograph=False)
        if one == "raises":
            with pytest.raises(tf.errors.InvalidArgumentError):
                compiled(tf.constant(given))
        else:
            np.testing.assert_array_equal(compiled(tf.constant(given)).numpy(), one)
