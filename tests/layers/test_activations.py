"""At a kink the layers take Keras's derivative, but for celu at 0, where Keras adds up both sides'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, layers
from tfbp.bridge.activations import keras_activation
from tfbp.vocabulary import ACTIVATIONS

KINKS = np.array([-6, -3, -2, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 2, 3, 6])
THRESHOLD = {"threshold": 0.25, "default_value": -0.5}
CHOICES = {
    name: Activation(name, THRESHOLD if name == "threshold" else {}) for name in ACTIVATIONS if "max" not in name
}
CHOICES["elu-0.5"] = Activation("elu", {"alpha": 0.5})
RELUS = [
    *({}, {"negative_slope": 0.25}, {"max_value": 1.0}, {"max_value": 6.0}, {"max_value": 6.0, "negative_slope": 0.25}),
    *({"threshold": 0.25}, {"threshold": 0.5, "max_value": 2.0, "negative_slope": 0.25}, {"max_value": 0.0}),
    *({"threshold": 2.0, "max_value": 1.0}, {"threshold": 0.25, "max_value": 6.0}),
]


def outputs_and_derivatives(layer, jit_compile):
    @tf.function(jit_compile=jit_compile)
    def run(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            y = layer(z)
        return y, tape.gradient(y, z, unconnected_gradients="zero")

    return [tensor.numpy() for tensor in run(tf.constant(KINKS, "float32"))]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_the_kinks_are_keras_s(jit_compile):
    for name in CHOICES if not jit_compile else ("relu", "relu6", "elu-0.5", "selu", "celu"):
        choice = CHOICES[name]
        function = keras_activation(choice)
        got, expected = (
            outputs_and_derivatives(room.Activation(function), jit_compile) for room in (layers, keras.layers)
        )
        if name == "celu":
            assert (expected[1][KINKS == 0], got[1][KINKS == 0]) == (2, 1)
            expected[1][KINKS == 0] = 1
        if name == "selu" and jit_compile:
            # XLA's selu takes the left side at 0, where TensorFlow's kernel takes the right
            assert expected[1][KINKS == 0] == pytest.approx(1.7580993, rel=1e-6)
            expected[1][KINKS == 0] = 1.0507010
        for a, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=0, atol=16 * 2**-24 * (1 + np.abs(e).max()), err_msg=name)


@pytest.mark.parametrize("arguments", RELUS, ids=str)
def test_relu_with_any_arguments_is_keras_s(arguments):
    got, expected = (outputs_and_derivatives(room.ReLU(**arguments), False) for room in (layers, keras.layers))
    for a, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_float64_keeps_the_slope_s_digits():
    """Keras hands it to an operation that keeps it in float32."""
    z = np.array([-1.0])
    assert float(layers.LeakyReLU(0.1, dtype="float64")(z)[0]) == -0.1
    assert float(layers.LeakyReLU(0.1, dtype="float64")(z)[0]) != float(
        keras.layers.LeakyReLU(0.1, dtype="float64")(z)[0]
    )


@pytest.mark.parametrize("kind", ["ReLU", "LeakyReLU", "Activation"])
def test_integers_are_left_to_keras(kind):
    counts = np.array([[-2, 0, 3]])
    arguments = {"activation": "relu"} if kind == "Activation" else {}
    got, expected = (getattr(room, kind)(**arguments)(counts) for room in (layers, keras.layers))
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", ["Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"])
def test_files_and_configs_go_through(kind, tmp_path):
    arguments = {"activation": "mish"} if kind == "Activation" else {}
    model = keras.Sequential([keras.Input((3, 4)), getattr(layers, kind)(**arguments, name="it")])
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("it")) is getattr(layers, kind)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.get_layer("it").get_config() == model.get_layer("it").get_config()
