"""Noise that is added in training: normal, the same everywhere, and Keras's with the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import Dense, GaussianNoise, InputError, Network, manual, reference, tape
from tfbp.agreement.cases import cases_of
from tfbp.agreement.problems import problem
from tfbp.network import named_weights, noise

CASES = {case.name.split("-B")[0]: case for case in cases_of(noise)}


def test_the_numbers_are_standard_normal_and_apart():
    numbers = reference.noise.normal_numbers((2, 20_000), (3, 1))
    # within four standard deviations of each estimate
    assert abs(numbers.mean()) < 4 / 200
    assert abs((numbers**2).mean() - 1) < 4 * np.sqrt(2) / 200
    assert abs((numbers**4).mean() - 3) < 4 * np.sqrt(96) / 200
    assert abs((numbers[0] * numbers[1]).mean()) < 4 / np.sqrt(20_000)
    assert np.abs(numbers - reference.noise.normal_numbers((2, 20_000), (3, 2))).mean() > 0.5


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_each_writing_draws_the_same(dtype):
    zeros, expected = np.zeros((3, 7)), reference.noise.gaussian_noise_forward(np.zeros((3, 7)), (5, 2), stddev=0.5)
    unit = {"float64": 1e-13, "float32": 1e-7, "bfloat16": 2**-8}[dtype]
    for writing in (manual, tape):
        x = tf.constant(zeros, dtype)
        made = tf.function(writing.noise.gaussian_noise_forward, autograph=False)(x, tf.constant([5, 2]), stddev=0.5)
        assert made.dtype == dtype
        np.testing.assert_allclose(tf.cast(made, tf.float64), expected, rtol=unit, atol=1e-15)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_keras_s_with_the_same_numbers(case, monkeypatch):
    numbers = problem(case, "float64")
    network, training = case.network, case.training
    model = network.to_keras(numbers.parameters, dtype="float64")
    again, _ = Network.from_keras(model, network.loss)
    assert again.layers[::2] == network.layers[::2]
    assert Network.from_json(network.to_json()) == network
    drawn = iter([reference.noise.normal_numbers(shape, (9, n)) for n, shape in enumerate([(6, 4, 3), (6, 4, 5)])])
    monkeypatch.setattr(
        keras.src.backend.random, "normal", lambda shape, stddev, **options: tf.constant(stddev * next(drawn))
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    with tf.GradientTape() as record:
        total = loss(numbers.y, model(numbers.x, training=training))
    expected = record.gradient(total, model.trainable_variables)
    for writing in (reference, manual, tape):
        got, gradients = writing.loss_and_gradients(
            network, numbers.parameters, numbers.x, numbers.y, training=training, seed=9
        )
        np.testing.assert_allclose(got, total, rtol=1e-12)
        for (_, _, dw), right in zip(named_weights(gradients), expected, strict=True):
            np.testing.assert_allclose(dw, right, rtol=0, atol=1e-12)


def test_bad_input_is_one_sentence():
    with pytest.raises(InputError, match=r"^stddev: got -1; accepted: a finite number of 0 or more\.$"):
        GaussianNoise(-1)
    network = Network(3, [GaussianNoise(0.5), Dense(2)], "huber")
    with pytest.raises(InputError, match=r"^seed: got None"):
        manual.loss_and_gradients(network, network.init(0), tf.zeros([2, 3]), tf.zeros([2, 2]))
