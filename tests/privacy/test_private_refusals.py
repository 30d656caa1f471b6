"""Cases that private training refuses, in one sentence each, before anything is trained."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import Privacy

L = keras.layers
GIVEN = {"noise_multiplier": 1.0, "delta": 1e-3}
X, Y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 3


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class LikeBayesflow(keras.Sequential):
    """As its approximators: what a step needs comes from a compute_metrics of its own, which takes a dict."""

    def compute_metrics(self, x, y):
        return {"loss": keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, self(x)))}

    def train_step(self, data):
        with tf.GradientTape() as tape:
            metrics = self.compute_metrics(*data)
        gradients = tape.gradient(metrics["loss"], self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return metrics


class LikeKerasHub(keras.Sequential):
    """As its tasks: fit prepares the data and goes on in Keras's; train_on_batch does, too."""

    def fit(self, x=None, y=None, batch_size=None, sample_weight=None, **options):
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)
        return super().fit(data, **options)

    def train_on_batch(self, x, y=None, **options):
        return super().train_on_batch(x, y, **options)


def fit(*layers, kind=keras.Sequential, loss="sparse_categorical_crossentropy", privacy=None, x=X, y=Y, **options):
    model = kind([L.Input((4,)), *layers, L.Dense(3, "softmax")])
    model.compile("sgd", loss)
    before = model.get_weights()
    try:
        return tfbp.fit(model, x, y, batch_size=5, privacy=privacy or Privacy(**GIVEN), verbose=0, **options)
    finally:
        for got, right in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(got, right)


class Writes(L.Layer):
    def build(self, shape):
        self.total = self.add_weight(shape=(), trainable=False, initializer="zeros", name="total")

    def call(self, x):
        self.total.assign_add(keras.ops.sum(x))
        return x


class Mixes(L.Layer):
    def call(self, x):
        return x - keras.ops.mean(x, axis=0)


class Penalty(L.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(x**2))
        return x


class Uncompiled(keras.Sequential):
    def compile(self, *given, **options):
        """Nothing: as if it was forgotten."""


def drawing(layer):
    """Layers whose examples go by a tape each, or draw in a way that no hand-written gradient knows."""
    return L.Reshape((2, 2)), layer, L.Flatten()


REFUSED = {
    "a model that is not compiled": ((), {"kind": Uncompiled}, "not compiled"),
    "dropout between a recurrence's steps": (drawing(L.LSTM(2, recurrent_dropout=0.5)), {}, "draws random numbers"),
    "batch normalization": ((L.BatchNormalization(),), {}, "GroupNormalization"),
    "a state that is written": ((Writes(),), {}, "writes"),
    "examples that are mixed": ((Mixes(),), {}, "ties a batch's examples together"),
    "an activity regularizer": ((L.Dense(4, activity_regularizer="l2"),), {}, "activity_regularizer"),
    "a loss that a layer adds": ((Penalty(),), {}, "add_loss"),
    "a train_step of its own": ((), {"kind": OwnStep}, "train_step of its own"),
    "a model like bayesflow's": ((), {"kind": LikeBayesflow}, "got a LikeBayesflow with a train_step of its own"),
    "a model like keras-hub's": ((), {"kind": LikeKerasHub}, "for a LikeKerasHub"),
    "a batch larger than the data": ((), {"x": X[:3], "y": Y[:3]}, "batch_size: got 5 of 3"),
    "a budget that nothing meets": ((), {"privacy": Privacy(epsilon=1e-9, delta=1e-12, accountant="rdp")}, "σ"),
    "steps_per_epoch": ((), {"steps_per_epoch": 2}, "steps_per_epoch: got 2"),
    "labels of strings": ((), {"y": np.array(["a", "b"] * 10)}, "y: got a ndarray of dtype <U1; accepted: arrays of"),
    "weights of strings": ((), {"sample_weight": np.array([b"a"] * 20)}, "sample_weight: got a ndarray of dtype |S1"),
    "inputs of strings": ((), {"x": np.array([["a"] * 4] * 20)}, "x: got a ndarray of dtype <U1"),
    "a dataset": ((), {"x": tf.data.Dataset.from_tensors((X, Y)), "y": None}, "x: got a _TensorDataset; accepted"),
    "nothing": ((), {"x": None}, "x: got nothing; accepted: arrays of numbers in memory, for each step draws"),
    "half an epoch": ((), {"epochs": 1.5}, "epochs: got 1.5; accepted: an integer"),
    "the other clip": ((), {"clip_per_example": 0.1}, "clip_per_example: got 0.1 beside privacy"),
    "something that is no Privacy": ((), {"privacy": 3.0}, "accepted: a tfbp.Privacy"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_sentence(case):
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    layers, options, words = REFUSED[case]
    with pytest.raises(tfbp.InputError) as caught:
        fit(*layers, **options)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 240
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"delta": 1e-3}, "epsilon: got None and noise_multiplier=None"),
        ({"epsilon": 1.0, "noise_multiplier": 1.0, "delta": 1e-3}, "accepted: one of the two"),
        ({**GIVEN, "clip": 0}, "clip: got 0"),
        ({**GIVEN, "clip": 1e-25}, "clip: got 1e-25; accepted: at least 1e-12"),
        ({**GIVEN, "clip": float("nan")}, "clip: got nan"),
        ({**GIVEN, "clip": None}, "clip: got None"),
        ({**GIVEN, "clip": 1e30}, "clip: got 1e+30; accepted: at most 1e+18"),
        ({"noise_multiplier": 1e300, "delta": 1e-3}, "noise_multiplier: got 1e+300; accepted: 1e-15 to 1e+18"),
        ({"noise_multiplier": 1e-300, "delta": 1e-3}, "noise_multiplier: got 1e-300"),
        ({"noise_multiplier": -1.0, "delta": 1e-3}, "noise_multiplier: got -1.0"),
        ({"noise_multiplier": 1.0}, "delta: got None"),
        ({"noise_multiplier": 1.0, "delta": 1.5}, "delta: got 1.5"),
        ({**GIVEN, "sampling": "Poisson"}, "did you mean 'poisson'"),
        ({**GIVEN, "accountant": "gdp"}, "accountant: got 'gdp'"),
        ({**GIVEN, "physical_batch_size": 0}, "physical_batch_size: got 0"),
        ({**GIVEN, "seed": 1.5}, "seed: got 1.5"),
        ({**GIVEN, "seed": -1}, "seed: got -1"),
        ({**GIVEN, "exact_logs": "no"}, "exact_logs: got 'no'"),
    ],
)
def test_numbers_out_of_range_are_one_sentence(given, words):
    with pytest.raises(tfbp.InputError) as caught:
        Privacy(**given)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 240


def test_a_delta_of_1_over_n_is_warned_of():
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    model = keras.Sequential([L.Input((4,)), L.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="delta: got 0.1"):
        tfbp.fit(model, X, Y, privacy=Privacy(noise_multiplier=1.0, delta=0.1), batch_size=5, verbose=0)


def test_without_dp_accounting_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(tfbp.InputError, match=r"by pip install dp-accounting"):
        fit()
