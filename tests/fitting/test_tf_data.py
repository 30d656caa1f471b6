"""A tf.data.Dataset: Keras's results to the bit, many batches in a call, and Keras's own loop for what it is not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import datasets
from tfbp.fitting.api import KERAS
from tfbp.fitting.non_finite import TerminateOnNaN

layers = keras.layers
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(100, 12)).astype("float32"), RNG.integers(0, 3, 100)
WEIGHT = RNG.random(100)


def in_order():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)


def shuffled():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(100, seed=3).batch(16, drop_remainder=True).prefetch(2)


def weighted():
    return tf.data.Dataset.from_tensor_slices(({"a": X}, Y, WEIGHT)).batch(16)


DATASETS = {"in order": in_order, "shuffled": shuffled}


def model(**options):
    keras.utils.set_random_seed(1)
    hidden = [layers.Dense(8, "tanh"), layers.BatchNormalization(), layers.Dropout(0.3)]
    made = keras.Sequential([keras.Input((12,)), *hidden, layers.Dense(3, "softmax")])
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return made


def both(make, data, validation=lambda: None):
    ours, theirs = make(), make()
    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    got = tfbp.fit(ours, data(), validation_data=validation(), **options)
    expected = KERAS["fit"](theirs, data(), validation_data=validation(), **options)
    assert got.history == expected.history
    for w, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(w, other)
    return ours, theirs


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"steps_per_execution": 3}], ids=str)
@pytest.mark.parametrize("data", DATASETS)
@pytest.mark.sampled(3)
def test_history_and_weights_are_keras_s(data, options):
    make = DATASETS[data]
    ours, theirs = both(lambda: model(**options), make, make)
    assert ours._tfbp_programs.streams
    assert tfbp.evaluate(ours, make(), verbose=0) == KERAS["evaluate"](theirs, make(), verbose=0)


def test_named_inputs_and_weights_of_samples():
    def make():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((12,), name="a")
        made = keras.Model({"a": inputs}, layers.Dense(3, "softmax")(inputs))
        made.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        return made

    data = weighted()
    both(make, lambda: data)


def test_many_batches_in_a_call(monkeypatch):
    calls = []
    run = datasets.DatasetRun._run
    monkeypatch.setattr(
        datasets.DatasetRun, "_run", lambda *given: calls.append((given[1], *given[3:5])) or run(*given)
    )
    tfbp.fit(model(), in_order(), epochs=2, verbose=0, shuffle=False)
    assert [call[0] for call in calls] == ["train"] * len(calls)
    assert calls[0] == ("train", 0, 4)
    assert len(calls) < 2 * 7


def test_a_hook_for_batches_is_called_at_every_batch():
    seen = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    tfbp.fit(model(), in_order(), epochs=2, verbose=0, shuffle=False, callbacks=[counter])
    assert seen == [*range(7)] * 2


@pytest.mark.parametrize("callback", [keras.callbacks.TerminateOnNaN, TerminateOnNaN])
def test_training_ends_at_the_first_loss_that_is_not_finite(callback):
    poisoned = X.copy()
    poisoned[37] = np.nan  # the third batch
    data = tf.data.Dataset.from_tensor_slices((poisoned, Y)).batch(16)
    ours = model()
    history = tfbp.fit(ours, data, epochs=3, verbose=0, shuffle=False, callbacks=[callback()])
    assert history.epoch == [0]
    assert int(ours.optimizer.iterations) == 3


def generated():
    batches = ((X[i : i + 16], Y[i : i + 16]) for i in range(0, 96, 16))
    signature = (tf.TensorSpec((None, 12)), tf.TensorSpec((None,), tf.int64))
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)


def ragged():
    rows = tf.RaggedTensor.from_row_lengths(tf.range(6.0), [1, 2, 3])
    return tf.data.Dataset.from_tensor_slices((rows, [0, 1, 2])).batch(2)


@pytest.mark.parametrize(
    "data", [generated(), ragged(), in_order().repeat(), X], ids=["of unknown length", "ragged", "endless", "an array"]
)
def test_keras_s_own_loop_has_what_this_is_not_for(data):
    assert datasets.run_of(model(), data) is None


def test_never_traces_again():
    ours = model()
    data = in_order()
    for _ in range(3):
        tfbp.fit(ours, data, epochs=2, verbose=0, shuffle=False)
        (known,) = ours._tfbp_programs.streams.values()
        assert known["train", False].experimental_get_tracing_count() == 1
