"""TerminateOnNaN and BackupAndRestore of any Keras model: the first layer or variable, and the very same weights."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp.fitting import BackupAndRestore, TerminateOnNaN

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, 6)).astype(np.float32), RNG.normal(size=(70, 2)).astype(np.float32)
OPTIONS = {"batch_size": 16, "epochs": 4, "verbose": 0}


def model_of(activation="tanh", jit_compile=False, optimizer=None):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6,))
    y = keras.layers.Dense(5, activation, name="first")(inputs)
    y = keras.layers.BatchNormalization(name="normal")(keras.layers.Dropout(0.2)(y))
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(y))
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_the_layer_whose_output_overflows_is_named_with_its_step(jit_compile, capsys):
    model, watch = model_of("exponential", jit_compile), TerminateOnNaN()
    x = X.copy()
    x[37] = 1000 * np.sign(model.layers[1].kernel.numpy()[:, 2])
    history = tfbp.fit(model, x, Y, callbacks=[watch], shuffle=False, **OPTIONS)
    assert (watch.found.tensor, watch.found.kind, watch.found.epoch, watch.found.step) == ("first", "activation", 0, 2)
    assert watch.found.value == np.inf
    assert int(model.optimizer.iterations) == 2
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert len(history.epoch) == 1
    assert "first not finite: first (activation), inf at" in capsys.readouterr().out


def test_the_variable_whose_update_overflows_is_named():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([6], [1e-3, 1e38])
    model, watch = model_of(optimizer=keras.optimizers.SGD(schedule)), TerminateOnNaN()
    tfbp.fit(model, X, 100 * Y, callbacks=[watch], **OPTIONS)
    assert (watch.found.epoch, watch.found.kind) == (1, "update")
    assert watch.found.tensor in {"first/kernel", "normal/gamma", "last/kernel", "last/bias"}
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_variable_that_was_set_so_is_named():
    model, watch = model_of(), TerminateOnNaN()
    model.layers[-1].kernel.assign(np.full((5, 2), np.nan))
    tfbp.fit(model, X, Y, callbacks=[watch], **OPTIONS)
    assert (watch.found.tensor, watch.found.kind) == ("last/kernel", "parameter")


def test_a_sound_run_is_the_same_with_and_without():
    watched, alone, watch = model_of(), model_of(), TerminateOnNaN()
    tfbp.fit(watched, X, Y, callbacks=[watch], **OPTIONS)
    tfbp.fit(alone, X, Y, **OPTIONS)
    assert watch.found is None
    for got, expected in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


class Interrupt(keras.callbacks.Callback):
    """Breaks training off in the middle of an epoch, as Ctrl-C does."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2 and batch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_resumed_run_ends_in_the_same_weights(tmp_path, jit_compile):
    whole, broken, resumed = (model_of(jit_compile=jit_compile) for _ in range(3))
    expected = tfbp.fit(whole, X, Y, **OPTIONS).history["loss"]
    with pytest.raises(KeyboardInterrupt):
        tfbp.fit(broken, X, Y, callbacks=[BackupAndRestore(tmp_path / "b"), Interrupt()], **OPTIONS)
    # another process would have no seed set: that of the shuffling is in the backup
    resumed._tfbp_shuffling = tfbp.fitting.shuffling.Shuffling(99)
    history = tfbp.fit(resumed, X, Y, callbacks=[BackupAndRestore(tmp_path / "b")], **OPTIONS)
    assert history.epoch == [2, 3]
    np.testing.assert_allclose(history.history["loss"], expected[2:], rtol=1e-6)
    for got, weight in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(got, weight)
    assert not (tmp_path / "b").exists()


def test_a_backup_of_another_model_is_refused(tmp_path):
    tfbp.fit(model_of(), X, Y, callbacks=[BackupAndRestore(tmp_path, delete_checkpoint=False)], **OPTIONS)
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    other.compile("adam", "mse")
    with pytest.raises(tfbp.InputError, match="a backup of another model; accepted: a backup of this model and"):
        tfbp.fit(other, X, Y, callbacks=[BackupAndRestore(tmp_path)], **OPTIONS)
