"""Random numbers are drawn once in XLA's programs for a CPU, and are the same numbers as without a second place."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import random_numbers

X, Y = np.random.default_rng(0).normal(size=(72, 8)).astype("float32"), np.zeros((72, 1), "float32")
LAYERS = {
    "Dropout": lambda: keras.layers.Dropout(0.4, seed=1),
    "GaussianNoise": lambda: keras.layers.GaussianNoise(0.3, seed=1),
}


def model(layer):
    keras.utils.set_random_seed(2)
    made = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, "relu"), LAYERS[layer](), keras.layers.Dense(1)])
    made.compile("sgd", "mse", jit_compile=True)
    return made


@pytest.mark.parametrize("layer", LAYERS)
def test_each_routine_has_a_second_place(layer, monkeypatch):
    found = []
    second_place = random_numbers.second_place
    monkeypatch.setattr(random_numbers, "second_place", lambda *given: found.append(second_place(*given)) or found[-1])
    tfbp.fit(model(layer), X, Y, batch_size=16, verbose=0, shuffle=False)
    assert [len(each) for each in found] == [1] * len(found)
    assert all(not number.shape.rank for each in found for number in each)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_results_stay_what_they_are(layer, monkeypatch):
    def trained():
        made = model(layer)
        tfbp.fit(made, X, Y, batch_size=16, verbose=0, shuffle=False, epochs=2)
        return made.get_weights()

    here = trained()
    monkeypatch.setattr(random_numbers, "second_place", lambda *given: [])
    for w, other in zip(here, trained(), strict=True):
        np.testing.assert_allclose(w, other, rtol=1e-5, atol=1e-7)


def test_every_shape_and_kind_has_one():
    @tf.function
    def step(x):
        numbers = [tf.random.stateless_uniform((4, n), [1, 2]) for n in (2, 3, 3)]
        normal = tf.random.stateless_normal(tf.shape(x), [1, 2])
        whole = tf.random.stateless_uniform((5,), [1, 2], 0, 9, tf.int32)
        return [*numbers, normal, whole, tf.random.stateless_truncated_normal((2,), [1, 2])]

    graph = step.get_concrete_function(tf.TensorSpec([None, 3])).graph
    assert len(random_numbers.second_place(graph, 4, [tf.range(3)])) == 5
