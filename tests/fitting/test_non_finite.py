"""A NaN is traced to its step, layer and tensor, whatever block it was in; and a sound run is left alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, Dense, Model, Network, manual
from tfbp.fitting import TerminateOnNaN, non_finite

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)).astype(np.float32), RNG.normal(size=(60, 2)).astype(np.float32)
NETWORK = Network(4, [Dense(5, "exponential"), Dense(2)], "mean_squared_error")


def model_of(network=NETWORK, optimizer=None, gradients="manual", **options):
    model = Model(network, gradients, seed=1)
    model.compile(optimizer or keras.optimizers.SGD(1e-3), **options)
    return model


def poisoned(row, value=200.0):
    """Inputs with one row that overflows exp in the first layer, wherever the shuffling puts it."""
    x = X.copy()
    x[row] = value * np.sign(model_of().get_parameters()[0]["kernel"][:, 2])
    return x


def step_of(row, epoch, batch_size, seed=1):
    order = np.random.default_rng([seed, epoch]).permutation(60)
    return int(np.flatnonzero(order == row)[0]) // batch_size


@pytest.mark.parametrize("gradients", ["manual", "tape"])
@pytest.mark.parametrize("steps", [1, 3, None])
@pytest.mark.parametrize("row", [0, 17, 59])
@pytest.mark.sampled(5)
def test_an_activation_that_overflows_is_named_with_its_step(row, steps, gradients, capsys):
    model, watch = model_of(gradients=gradients, steps_per_execution=steps), TerminateOnNaN()
    history = model.fit(poisoned(row), Y, batch_size=8, epochs=3, verbose=0, callbacks=[watch])
    assert (watch.found.tensor, watch.found.kind, watch.found.epoch) == ("layer 0 y", "activation", 0)
    assert watch.found.step == step_of(row, 0, 8)
    assert watch.found.value == np.inf
    assert "first not finite: layer 0 y (activation), inf at" in capsys.readouterr().out
    assert len(history.epoch) == 1
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_the_weights_left_are_those_before_the_step():
    watch, model, sound = TerminateOnNaN(), model_of(), model_of(steps_per_execution=1)
    model.fit(poisoned(17), Y, batch_size=8, verbose=0, callbacks=[watch])

    class StopBefore(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == watch.found.step - 1

    sound.fit(poisoned(17), Y, batch_size=8, verbose=0, callbacks=[StopBefore()])
    for got, expected in zip(model.get_weights(), sound.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_it_goes_back_to_weights_that_a_callback_restored():
    others = model_of().network.init(seed=9)
    left = []
    for early in (True, False):
        model = model_of()
        restore = keras.callbacks.LambdaCallback(on_train_begin=lambda logs, model=model: model.set_parameters(others))
        if early:
            model.set_parameters(others)
        callbacks = [TerminateOnNaN()] if early else [restore, TerminateOnNaN()]
        model.fit(poisoned(17), Y, batch_size=8, verbose=0, callbacks=callbacks)
        assert callbacks[-1].found.step == step_of(17, 0, 8)
        left.append(model.get_weights())
    for got, expected in zip(*left, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("seconds", [0.0, 1000.0], ids=["a-snapshot-a-block", "one-snapshot"])
@pytest.mark.parametrize("step", [0, 4, 6, 7, 9])
@pytest.mark.sampled(3)
def test_an_update_that_overflows_is_named(step, seconds, monkeypatch):
    monkeypatch.setattr(non_finite, "SECONDS_BETWEEN_SNAPSHOTS", seconds)

    class Explode(keras.callbacks.Callback):
        """Sets a learning rate that throws the weights to infinity in the update of one step of the second epoch."""

        def on_train_batch_begin(self, batch, logs=None):
            if batch == step and int(self.model.optimizer.iterations) >= 10:
                self.model.optimizer.learning_rate = 3e38

    network = Network(4, [Dense(5, "tanh"), Dense(2)], "mean_squared_error")
    watch, model = TerminateOnNaN(), model_of(network, steps_per_execution=1)
    model.fit(X, Y * 100, batch_size=6, epochs=5, verbose=0, callbacks=[Explode(), watch])
    assert (watch.found.epoch, watch.found.step, watch.found.kind) == (1, step, "update")
    # where the loss first shows it, the weights were gone a step before
    assert watch.found.tensor == "layer 0 kernel"


@pytest.mark.parametrize(("name", "kind"), [("dz", "delta"), ("dkernel", "gradient")])
def test_a_backward_that_overflows_is_named(monkeypatch, name, kind):
    """The loss is finite and the backward is not: here because we break it, for large dz alone."""
    module, target = (manual.graph, "activation_backward") if name == "dz" else (manual.dense, "dense_backward")
    right = getattr(module, target)

    def wrong(*arguments, **options):
        result = right(*arguments, **options)
        if name == "dz":
            return tf.where(tf.abs(result) > 0.5, np.inf, result)
        dx, dkernel, dbias = result
        return dx, tf.where(tf.abs(dkernel) > 2.0, np.nan, dkernel), dbias

    monkeypatch.setattr(module, target, wrong)
    network = Network(4, [Dense(5, "tanh"), Dense(2)], "mean_squared_error")
    y = Y.copy()
    y[17] = 100.0
    watch, model = TerminateOnNaN(), model_of(network)
    model.fit(X, y, batch_size=8, epochs=2, verbose=0, callbacks=[watch])
    assert (watch.found.tensor, watch.found.kind) == (f"layer 1 {name}", kind)
    assert (watch.found.epoch, watch.found.step) == (0, step_of(17, 0, 8))


def test_weights_that_were_loaded_so_are_named():
    model, watch = model_of(), TerminateOnNaN()
    parameters = model.get_parameters()
    parameters[1]["kernel"][2, 1] = np.nan
    model.set_parameters(parameters)
    model.fit(X, Y, verbose=0, callbacks=[watch])
    assert str(watch.found) == "epoch 0, step 0: first not finite: layer 1 kernel (parameter), nan at [2, 1]"


def test_a_sound_run_is_the_same_with_and_without():
    watched, alone, watch = model_of(), model_of(), TerminateOnNaN()
    watched.fit(X, Y, epochs=3, verbose=0, callbacks=[watch])
    alone.fit(X, Y, epochs=3, verbose=0)
    assert watch.found is None
    for got, expected in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_step_that_the_loss_scale_skips_is_no_fault(capsys):
    network = Network(4, [Dense(5, Activation("tanh")), Dense(2)], "mean_squared_error")
    model, watch = Model(network, dtype="mixed_float16"), TerminateOnNaN()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**40))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[watch])
    assert watch.found is None
    assert capsys.readouterr().out == ""


def test_in_keras_s_own_loop_it_stops_training(capsys):
    data = tf.data.Dataset.from_tensor_slices((poisoned(17), Y)).batch(8)
    history = model_of().fit(data, epochs=3, verbose=0, shuffle=False, callbacks=[TerminateOnNaN()])
    assert len(history.epoch) == 1
    assert "Training stopped: batch 2: the loss is" in capsys.readouterr().out


def test_snapshots_are_a_second_apart(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(non_finite.time, "perf_counter", lambda: now[0])
    watch = TerminateOnNaN()
    watch.set_model(model_of())
    watch.begin_fit(None)
    snapshots = []
    for block in range(35):
        watch.begin_block(0, block, block + 1)
        now[0] += 0.125
        watch.end_block(block + 1, True)
        if not snapshots or watch._snapshot is not snapshots[-1][1]:
            snapshots.append((block, watch._snapshot))
        # never more to train again than the steps between two snapshots
        assert len(watch._blocks) <= 9
    # each is good after one block more
    assert [block for block, _ in snapshots] == [0, 8, 16, 24, 32]
