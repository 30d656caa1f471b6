"""The values that a step changes are found wherever a model keeps them, so that a resumed run ends in the same bits."""

from collections import deque
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import BackupAndRestore, TerminateOnNaN
from tfbp.fitting.state import optimizers_of, state_of, variables_read_by

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
OPTIONS = {"batch_size": 8, "epochs": 4, "verbose": 0}


class Holder:
    """No layer and no optimizer, but has one."""

    def __init__(self, optimizer):
        self.optimizer = optimizer


class Slotted:
    """Has one in a slot."""

    __slots__ = ("optimizer",)

    def __init__(self, optimizer):
        self.optimizer = optimizer


class Keeps(keras.Model):
    """Trains its weights by an optimizer that it keeps as `keep` says."""

    def __init__(self, keep, activation="tanh"):
        super().__init__()
        self.inner = keras.layers.Dense(4, activation)
        self.head = keras.layers.Dense(4)
        optimizer = keras.optimizers.Adam(0.05)
        self.choose = lambda: optimizer
        if keep == "list":
            self.optimizers = [[optimizer]]
        elif keep == "dict":
            self.by_name = {"a": {"b": (optimizer,)}}
        elif keep == "submodel":
            self.part = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
            self.part.compile(optimizer)
        elif keep == "object":
            self.helper = Holder(optimizer)
        elif keep == "slots":
            self.helper = Slotted(optimizer)
        elif keep == "deque":
            self.waiting = deque([optimizer])
        elif keep == "partial":
            self.apply_by = partial(print, optimizer)
        elif keep == "layer":
            self.inner.own_optimizer = optimizer
        # a counter that Keras does not track
        self.counts = Holder(tf.Variable(0.0))

    def call(self, x):
        return self.head(self.inner(x))

    def train_step(self, x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x) - x)) + 0.01 * self.counts.optimizer
        variables = self.inner.trainable_variables + self.head.trainable_variables
        self.choose().apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.counts.optimizer.assign_add(1.0)
        return {"loss": loss}


FOUND = ("list", "dict", "submodel", "object", "layer")


def model(keep, activation="tanh"):
    keras.utils.set_random_seed(1)
    made = Keeps(keep, activation)
    made(X[:1])
    made.compile(jit_compile=False)
    made.optimizer = None
    return made


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("keep", [*FOUND, "slots", "deque", "partial"])
def test_an_optimizer_is_found_where_a_model_keeps_it(keep):
    made = model(keep)
    assert optimizers_of(made) == [made.choose()]
    assert len(optimizers_of(model("closure"))) == 0


@pytest.mark.parametrize("keep", [*FOUND, "closure"])
@pytest.mark.sampled(5)
def test_a_killed_and_resumed_run_ends_in_the_same_bits(keep, tmp_path):
    whole = model(keep)
    expected = tfbp.fit(whole, X, **OPTIONS).history["loss"]
    with pytest.raises(KeyboardInterrupt):
        tfbp.fit(model(keep), X, callbacks=[BackupAndRestore(tmp_path), Interrupt()], **OPTIONS)
    resumed = model(keep)
    history = tfbp.fit(resumed, X, callbacks=[BackupAndRestore(tmp_path)], **OPTIONS)
    assert (history.epoch, history.history["loss"]) == ([2, 3], expected[2:])
    for got, weight in zip(state_of(resumed), state_of(whole), strict=True):
        np.testing.assert_array_equal(got, weight)
    assert float(resumed.counts.optimizer) == 32


def test_what_a_step_reads_is_listed_in_the_order_in_which_it_is_read(rng):
    variables = [tf.Variable(float(number)) for number in range(12)]
    read = [variables[place] for place in rng.permutation(12)]
    traced = tf.function(lambda: tf.add_n([variable.read_value() for variable in read])).get_concrete_function()
    assert [float(each) for each in variables_read_by(traced.graph)] == [float(each) for each in read]


def test_a_nan_is_gone_back_from_with_every_optimizer_s_state(capsys):
    made, watch = model("list", "exponential"), TerminateOnNaN()
    x = X.copy()
    x[37] = 1e4 * np.sign(made.inner.kernel.numpy()[:, 0])
    tfbp.fit(made, x, callbacks=[watch], shuffle=False, **OPTIONS)
    assert (watch.found.epoch, watch.found.step, watch.found.kind) == (0, 4, "activation")
    assert int(made.optimizers[0][0].iterations) == 4
    assert "Training stopped" in capsys.readouterr().out
