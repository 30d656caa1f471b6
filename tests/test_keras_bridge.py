"""To Keras and back: the same numbers forward, the same network and parameters again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import L1L2, Activation, Dense, InputError, Network, manual
from tfbp.vocabulary import ACTIVATIONS

ARGUMENTS = {
    "threshold": {"threshold": 0.1, "default_value": -0.3},
    "leaky_relu": {"negative_slope": 0.1},
    "elu": {"alpha": 0.7},
    "gelu": {"approximate": True},
    "celu": {"alpha": 0.7},
}
X = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)


def network_of(name):
    hidden = Dense(7, Activation(name, ARGUMENTS.get(name, {})), kernel_regularizer=L1L2(0.1, 0.2))
    return Network(5, [hidden, Dense(3, name, use_bias=False) if name not in ARGUMENTS else Dense(3)], "huber")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_there_and_back_is_the_same_network_with_the_same_numbers(name):
    network = network_of(name)
    parameters = network.init(seed=1)
    model = network.to_keras(parameters)
    again, parameters_again = Network.from_keras(model, "huber")
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in network.layers]
    assert [layer.kernel_regularizer for layer in again.layers] == [L1L2(0.1, 0.2), None]
    for layer, expected in zip(parameters_again, parameters, strict=True):
        assert set(layer) == set(expected)
        for key, w in layer.items():
            np.testing.assert_array_equal(w, expected[key].astype(np.float32), err_msg=key)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_forward_is_numerically_identical_in_float32(name):
    network = network_of(name)
    parameters = network.init(seed=1)
    ours = manual.forward(network, parameters, tf.constant(X)).numpy()
    theirs = network.to_keras(parameters)(X).numpy()
    # some of Keras's activations are other formulas of the same function: a few roundings of terms of this size
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=16 * 2**-24 * (1 + np.abs(theirs).max()))


def test_relu_and_softmax_are_identical_bit_for_bit():
    network = Network(5, [Dense(64, "relu"), Dense(10, "softmax")], "sparse_categorical_crossentropy")
    parameters = network.init(seed=1)
    model = network.to_keras(parameters)
    np.testing.assert_array_equal(manual.forward(network, parameters, tf.constant(X)), model(X))


def test_activation_layers_belong_to_the_dense_before_them():
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(4), layers.LeakyReLU(negative_slope=0.3), layers.Dense(3), layers.Softmax()]
    )
    network, _ = Network.from_keras(model, "categorical_crossentropy")
    assert network.layers[0].activation == Activation("leaky_relu", {"negative_slope": 0.3})
    assert network.layers[1].activation.name == "softmax"
    assert network.fuses_output_activation


def test_a_model_with_arguments_is_saved_and_loaded(tmp_path):
    network = network_of("elu")
    model = network.to_keras(network.init(seed=1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert Network.from_keras(loaded, "huber")[0] == Network.from_keras(model, "huber")[0]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: "model", "sequential: got 'model'; accepted: a keras.Sequential."),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "sequential: got a model that is not built; accepted:"),
        (
            lambda: keras.Sequential([keras.Input((5, 2)), keras.layers.Dense(3), keras.layers.ZeroPadding1D()]),
            "sequential: got ZeroPadding1D 'ZeroPadding1D'; accepted: Activation, Dense, Flatten, ",
        ),
        (
            lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation=lambda x: x)]),
            "sequential: got function '<lambda>'; accepted: Activation, Dense, Flatten, ",
        ),
        (
            lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, kernel_constraint="non_neg", name="d")]),
            "sequential: got 'd' with kernel_constraint; accepted: a Dense without it.",
        ),
    ],
    ids=["no-model", "not-built", "padding", "lambda", "constraint"],
)
def test_what_a_dense_cannot_express_is_refused(model, sentence):
    with pytest.raises(InputError) as caught:
        Network.from_keras(model(), "huber")
    assert str(caught.value).startswith(sentence)


def test_an_unknown_dtype_is_refused():
    with pytest.raises(InputError, match="dtype: got 'float8'"):
        network_of("relu").to_keras(network_of("relu").init(), dtype="float8")
