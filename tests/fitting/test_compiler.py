"""The meaning of "auto": XLA where it saves time in this fit, decided before the first step, and never by the clock."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import worthwhile
from tfbp.fitting.programs import Programs

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(20, 6)).astype(np.float32), RNG.integers(0, 3, 20)
OPTIONS = {"batch_size": 8, "verbose": 0, "shuffle": False}
MANY = 10**7


def dense(**options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


class Stop(keras.callbacks.Callback):
    """Ends a fit after its first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def compiles(model, *data, epochs, **options):
    history = tfbp.fit(model, *data, epochs=epochs, callbacks=[Stop()], **{**OPTIONS, **options})
    return history.params["jit_compile"]


def test_a_fit_of_many_steps_is_compiled_and_one_of_few_is_not():
    assert compiles(dense(), X, LABELS, epochs=3) is False
    assert compiles(dense(), X, LABELS, epochs=MANY) is True


def test_recurrence_is_compiled():
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(3)])
    model.compile("sgd", "mse")
    assert compiles(model, X[:16].reshape(16, 3, 2), X[:16, :3], epochs=MANY) is True


def test_without_xla_a_short_fit_has_keras_s_bits():
    ours, theirs = dense(), dense()
    got = tfbp.fit(ours, X, LABELS, epochs=2, **OPTIONS).history["loss"]
    assert got == theirs.fit(X, LABELS, epochs=2, **OPTIONS).history["loss"]
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_what_a_model_has_compiled_is_used_by_a_short_fit():
    model = dense()
    compiles(model, X, LABELS, epochs=MANY)
    traces = model._tfbp_programs.traces
    assert compiles(model, X, LABELS, epochs=1) is True
    assert model._tfbp_programs.traces == traces


def test_a_loop_of_short_fits_is_compiled_in_the_end(monkeypatch):
    size = worthwhile.Size(1, 1, 0)
    monkeypatch.setattr(worthwhile, "size_of", lambda graph, rows: size)
    monkeypatch.setattr(worthwhile, "SECONDS_A_PROGRAM", 6.5 * worthwhile.SAVED_AN_OPERATION)
    monkeypatch.setattr(worthwhile, "SECONDS_AN_OPERATION", 0.0)
    model = dense()
    # two full batches an epoch
    assert [compiles(model, X, LABELS, epochs=1) for _ in range(5)] == [False, False, False, True, True]


def test_the_last_batch_that_is_not_full_is_run_by_the_trace_that_is_there(monkeypatch):
    model, theirs = dense(), dense()
    # so many that the full batches pay, and so few that the last ones do not
    size = worthwhile.Size(1, 1, 0)
    monkeypatch.setattr(worthwhile, "size_of", lambda graph, rows: size)
    monkeypatch.setattr(worthwhile, "SECONDS_A_PROGRAM", 5.5 * worthwhile.SAVED_AN_OPERATION)
    monkeypatch.setattr(worthwhile, "SECONDS_AN_OPERATION", 0.0)
    assert compiles(model, X, LABELS, epochs=3) is True
    (programs,) = model._tfbp_programs._programs.values()
    # of any number of rows, and of a full batch for XLA; a program of each
    assert [batch[0].shape[0] for _, batch, _ in programs._steps] == [None, 8]
    assert sorted((key[0], key[4].full, key[4].rest) for key in programs._programs) == [
        ("block", False, False),
        ("block", True, False),
    ]
    theirs.fit(X, LABELS, epochs=1, **OPTIONS)
    for mine, other in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_validation_is_compiled_where_its_own_steps_pay():
    def ways(epochs, rows, **options):
        model = dense()
        x, y = np.repeat(X, 2, axis=0)[:rows], np.repeat(LABELS, 2)[:rows]
        compiles(model, X, LABELS, epochs=epochs, validation_data=(x, y), **options)
        (programs,) = model._tfbp_programs._programs.values()
        return {key[3]: key[4].full for key in programs._programs}

    assert ways(MANY, 16) == {"train": True, "test": True}
    assert ways(MANY, 16, validation_freq=MANY) == {"train": True}
    assert ways(MANY, 16, validation_freq=[1]) == {"train": True, "test": False}


@pytest.mark.parametrize(("mode", "epochs", "expected"), [("on", 1, True), ("off", MANY, False), ("auto", 1, False)])
def test_the_environment_says_what_auto_means(monkeypatch, mode, epochs, expected):
    monkeypatch.setenv("TFBP_AUTO_XLA", mode)
    assert compiles(dense(), X, LABELS, epochs=epochs) is expected


@pytest.mark.parametrize("jit_compile", [True, False])
def test_what_was_asked_for_is_done_whatever_the_environment_says(monkeypatch, jit_compile):
    monkeypatch.setenv("TFBP_AUTO_XLA", "off" if jit_compile else "on")
    assert compiles(dense(jit_compile=jit_compile), X, LABELS, epochs=1) is jit_compile


def test_another_word_in_the_environment_is_one_sentence(monkeypatch):
    monkeypatch.setenv("TFBP_AUTO_XLA", "yes")
    with pytest.raises(tfbp.InputError) as caught:
        tfbp.fit(dense(), X, LABELS, **OPTIONS)
    assert str(caught.value) == "TFBP_AUTO_XLA: got 'yes'; accepted: 'auto', 'on' or 'off'."


def test_labels_are_looked_at_in_every_fit():
    model = dense()
    assert compiles(model, X, LABELS, epochs=MANY) is True
    wrong = LABELS.copy()
    wrong[3] = 3
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the valid range"):
        tfbp.fit(model, X, wrong, **OPTIONS)


def test_a_loop_s_operations_count_at_every_turn():
    def step(x):
        return tf.while_loop(lambda i, x: i < 7, lambda i, x: (i + 1, tf.tanh(x) * 2), (0, x), maximum_iterations=7)[1]

    traced = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec([3]))
    size = worthwhile.size_of(traced.graph, 3)
    assert size.distinct < 20
    assert size.started > worthwhile.IN_A_LOOP * 7 * 3
    assert size.elements >= worthwhile.IN_A_LOOP * 7 * 2 * 3


def test_a_model_of_convolutions_by_hand_is_compiled_and_one_by_keras_is_not(rng):
    def pictures(layers):
        keras.utils.set_random_seed(1)
        parts = [
            layers.Conv2D(2, 3, activation="relu"),
            layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            layers.Dense(3),
        ]
        model = keras.Sequential([keras.Input((6, 6, 1)), *parts])
        model.compile("sgd", "mse")
        return model

    x, y = rng.normal(size=(16, 6, 6, 1)), rng.normal(size=(16, 3))
    assert compiles(pictures(keras.layers), x, y, epochs=MANY) is False
    assert compiles(pictures(tfbp.layers), x, y, epochs=MANY) is True


class Counting(keras.layers.Layer):
    """Counts how often it is called in Python."""

    calls = 0

    def call(self, x):
        Counting.calls += 1
        return x


def test_a_short_fit_traces_its_step_once_and_the_step_of_validation():
    keras.utils.set_random_seed(1)
    layers = [Counting(), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    Counting.calls = 0
    history = tfbp.fit(model, X, LABELS, epochs=2, validation_data=(X[:9], LABELS[:9]), **OPTIONS)
    assert Counting.calls == 2
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_other_numbers_are_no_other_program(monkeypatch):
    """XLA compiles again for every value of a number that it takes for a constant: such a one is no parameter of it."""
    ran, watched = [], Programs._watched
    monkeypatch.setattr(
        Programs, "_watched", lambda self, name, *given: ran.append((name, *given)) or watched(self, name, *given)
    )
    model = dense(jit_compile=True)
    tfbp.fit(model, X, LABELS, epochs=2, **OPTIONS)
    tfbp.evaluate(model, X, LABELS, batch_size=8, verbose=0)
    tfbp.predict(model, X, batch_size=8, verbose=0)
    programs = {id(traced): (name, traced, given) for name, (traced, _), given in ran}
    assert {name for name, *_ in programs.values()} == {"train", "test", "predict"}
    for name, traced, given in programs.values():
        whole = tf.function(traced.__call__, jit_compile=True, autograph=False)
        text = whole.experimental_get_compiler_ir(*given)(stage="hlo")
        parameters = re.findall(r"= s32\[(\d+)\]\S* parameter\(", text[text.index("ENTRY") :])
        assert str(given[1].shape[0]) in parameters, name
