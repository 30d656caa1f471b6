"""Data of ever other sizes: few programs do for all of them, and nothing piles up; outputs of any size are returned."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import steps
from tfbp.fitting.contract import KERAS
from tfbp.fitting.run import room

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(300, 4)).astype(np.float32), RNG.normal(size=(300, 1)).astype(np.float32)
SIZES = (1, 31, 64, 100, 131, 299)


def model(jit_compile=False):
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
    made.compile("sgd", "mse", jit_compile=jit_compile)
    return made


def test_as_few_programs_for_any_number_of_rows_as_in_keras():
    ours, theirs, traces = model(), model(), []
    for rows in SIZES * 2:
        for functions, made in (((tfbp.fit, tfbp.evaluate, tfbp.predict), ours), (KERAS.values(), theirs)):
            fit, evaluate, predict = functions
            fit(made, X[:rows], Y[:rows], batch_size=16, epochs=2, verbose=0, shuffle=False)
            made.seen = (
                evaluate(made, X[:rows], Y[:rows], batch_size=16, verbose=0),
                predict(made, X[:rows], batch_size=16, verbose=0),
            )
        # as Keras's own to the last bit or two: its graph is another for sizes seen in another order
        np.testing.assert_allclose(ours.seen[0], theirs.seen[0], rtol=1e-5)
        np.testing.assert_allclose(ours.seen[1], theirs.seen[1], rtol=1e-5, atol=1e-6)
        traces.append(ours._tfbp_programs.traces)
    assert traces[-1] == traces[len(SIZES) - 1] <= 20


def test_xla_s_programs_are_for_groups_of_sizes():
    ours, theirs = model(True), model()
    for rows in range(81, 97, 5):
        tfbp.fit(ours, X[:rows], Y[:rows], batch_size=8, epochs=2, verbose=0, shuffle=False)
        KERAS["fit"](theirs, X[:rows], Y[:rows], batch_size=8, epochs=2, verbose=0, shuffle=False)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-4, atol=1e-6)
    (known,) = ours._tfbp_programs._programs.values()
    assert len({key[2][2].shape[0] for key in known._programs}) == len({room(rows) for rows in range(81, 97, 5)}) == 1
    predicted = tfbp.predict(ours, X[:90], batch_size=8, verbose=0)
    np.testing.assert_allclose(predicted, ours(X[:90]).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rows", "expected"), [(1, 1), (8, 8), (9, 10), (64, 64), (65, 80), (97, 112), (60000, 65536)])
def test_there_is_room_for_at_most_a_quarter_more(rows, expected):
    assert room(rows) == expected


def test_rows_of_many_lengths_share_a_program_and_what_is_left_out_is_freed(rng):
    made = keras.Sequential([keras.Input((None, 2)), keras.layers.Dense(3), keras.layers.GlobalAveragePooling1D()])
    made.compile("sgd", "mse", jit_compile=False)
    for length in range(1, 12):
        x = rng.normal(size=(20, length, 2)).astype(np.float32)
        tfbp.fit(made, x, x[:, 0, :1] * np.ones(3, np.float32), batch_size=8, verbose=0)
        np.testing.assert_allclose(tfbp.predict(made, x, verbose=0), made(x).numpy(), rtol=1e-5, atol=1e-6)
        if length == 4:
            traces = made._tfbp_programs.traces
    assert made._tfbp_programs.traces == traces


def test_what_was_not_used_for_long_goes(monkeypatch):
    monkeypatch.setattr(steps, "MOST_KEPT", 4)
    made = model()
    for batch_size in range(2, 12):
        tfbp.predict(made, X, batch_size=batch_size, verbose=0)
    gc.collect()
    (known,) = made._tfbp_programs._programs.values()
    assert len(known._programs) == len(known._steps) == 4


class Picks(keras.layers.Layer):
    def call(self, x):
        return tf.boolean_mask(x, x[:, 0] > 0)


class Unique(keras.layers.Layer):
    def call(self, x):
        return tf.unique(tf.cast(x[:, 0] * 2, tf.int32))[0]


class Twice(keras.layers.Layer):
    def call(self, x):
        return tf.concat([x, x], 0)


class Widths(keras.layers.Layer):
    """As many columns as the batch has rows with a positive first number."""

    def call(self, x):
        return tf.zeros([tf.shape(x)[0], tf.reduce_sum(tf.cast(x[:, 0] > 0, tf.int32))]) + x[:, :1]


OUTPUTS = {
    "mask": Picks(),
    "unique": Unique(),
    "twice": Twice(),
    "none": keras.layers.Lambda(lambda x: x[:, :0], output_shape=(0,)),
    "no-row": keras.layers.Lambda(lambda x: x[:0], output_shape=(4,)),
    "a-number": keras.layers.Lambda(tf.reduce_sum, output_shape=()),
}


@pytest.mark.parametrize("rows", [64, 70], ids=["even", "uneven"])
@pytest.mark.parametrize("layer", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.sampled(5)
def test_outputs_of_any_number_of_rows_are_returned_as_by_keras(layer, rows):
    class Model(keras.Model):
        def call(self, x):
            return layer(x)

    made = Model()
    got, expected = (each(made, X[:rows], batch_size=16, verbose=0) for each in (tfbp.predict, KERAS["predict"]))
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_arrays_without_columns_are_taken():
    class Ones(keras.Model):
        def call(self, x):
            return tf.ones([tf.shape(x)[0], 2])

    made, nothing = Ones(), np.zeros((40, 0), np.float32)
    made.compile("sgd", "mse")
    np.testing.assert_array_equal(tfbp.predict(made, nothing, verbose=0), np.ones((40, 2)))
    assert tfbp.evaluate(made, nothing, np.ones((40, 2)), verbose=0) == 0.0
    # of outputs that have none, too
    nowhere = keras.Sequential([keras.Input((0,)), keras.layers.Activation("relu")])
    assert tfbp.predict(nowhere, nothing, verbose=0).shape == (40, 0)
