"""To Keras and back: the same numbers forward, the same network and parameters again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import L1L2, Activation, Dense, Flatten, InputError, Network, Reshape, Residual, manual, reference
from tfbp.network import at, named_weights
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
        (lambda: "model", "model: got str 'model'; accepted: a keras.Sequential, or a Functional keras.Model."),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "model: got a model that is not built; accepted:"),
        (
            lambda: keras.Sequential(
                [keras.Input((5, 2)), keras.layers.Dense(3), keras.layers.UnitNormalization(name="p")]
            ),
            "model: got the layer 'p', a UnitNormalization; accepted: layers that tfbp.Network has. tfbp.fit ",
        ),
        (
            lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation=lambda x: x)]),
            "model: got the activation '<lambda>'; accepted: those that tfbp.Activation has. tfbp.fit ",
        ),
        (
            lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, kernel_constraint="non_neg", name="d")]),
            "model: got 'd' with kernel_constraint; accepted: Dense without it.",
        ),
    ],
    ids=["no-model", "not-built", "padding", "lambda", "constraint"],
)
def test_what_a_dense_cannot_express_is_refused(model, sentence):
    with pytest.raises(InputError) as caught:
        Network.from_keras(model(), "huber")
    assert str(caught.value).startswith(sentence)


def distributed(*inner):
    layers = map(keras.layers.TimeDistributed, inner)
    return keras.Sequential([keras.Input((6, 5)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)])


def test_what_is_time_distributed_along_the_last_axis_is_the_layer_itself():
    layers, rng = keras.layers, np.random.default_rng(0)
    model = distributed(
        layers.Dense(4), layers.Activation("tanh"), layers.LayerNormalization(), layers.RMSNormalization()
    )
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    network, parameters = Network.from_keras(model, "huber")
    assert [layer.keras_name for layer in network.layers] == [
        *("Dense", "LayerNormalization", "RMSNormalization", "Flatten", "Dense")
    ]
    assert network.layers[0].activation.name == "tanh"
    x = rng.normal(size=(3, 6, 5)).astype("float32")
    np.testing.assert_allclose(reference.forward(network, parameters, x), model(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("inner", [keras.layers.Reshape((5, 1)), keras.layers.Dropout(0.5)])
def test_what_is_time_distributed_otherwise_is_refused(inner):
    with pytest.raises(
        InputError, match=f"'td' with a {type(inner).__name__} in it; accepted: a TimeDistributed Dense"
    ):
        Network.from_keras(
            keras.Sequential([keras.Input((6, 5)), keras.layers.TimeDistributed(inner, name="td")]), "huber"
        )


def test_an_unknown_dtype_is_refused():
    with pytest.raises(InputError, match="dtype: got 'float8'"):
        network_of("relu").to_keras(network_of("relu").init(), dtype="float8")


def residual_model():
    layers = keras.layers
    x = given = keras.Input((4, 6))
    x = layers.Dense(5)(x)
    branch = layers.Dense(8, "tanh")(layers.Activation("relu")(x))
    branch = layers.Add()([branch, layers.Dense(8, "silu", kernel_regularizer="l2")(branch)])
    x = layers.Add()([layers.Dense(3)(branch), layers.Dense(3, use_bias=False)(x)])
    x = layers.Flatten()(layers.LeakyReLU()(x))
    return keras.Model(given, layers.Softmax()(layers.Dense(2)(x)))


def test_a_functional_model_that_is_a_chain_with_additions_is_a_chain_of_residuals():
    model = residual_model()
    network, parameters = Network.from_keras(model, "categorical_crossentropy")
    kinds = [(node.name, type(node.layer).__name__) for node in network.nodes]
    assert kinds == [
        ("0", "Dense"),
        ("1.layers.0", "ActivationLayer"),
        ("1.layers.1", "Dense"),
        ("1.layers.2.layers.0", "Dense"),
        ("1.layers.2", "Residual"),
        ("1.layers.3", "Dense"),
        ("1.projection.0", "Dense"),
        ("1", "Residual"),
        ("2", "ActivationLayer"),
        ("3", "Flatten"),
        ("4", "Dense"),
    ]
    x = np.random.default_rng(3).normal(size=(7, 4, 6)).astype("float32")
    # the same formulas in another order of sums; the leaky relu's slope is a float32 in Keras
    np.testing.assert_allclose(manual.forward(network, parameters, x), model(x), rtol=0, atol=4e-6)
    again, same = Network.from_keras(network.to_keras(parameters), network.loss)
    assert again.without_penalties() == network.without_penalties()
    for place, name, w in named_weights(parameters):
        np.testing.assert_array_equal(at(same, place)[name], w)


@pytest.mark.parametrize("layers", [[Residual([Dense(5)])], [Residual([Dense(4), Dense(6)])], [Reshape((6, 5))]])
def test_layers_with_one_part_go_both_ways(layers):
    network = Network((6, 5), [Dense(5, "tanh"), *layers, Flatten(), Dense(2)], "huber")
    parameters, x = network.init(seed=1), np.random.default_rng(0).normal(size=(3, 6, 5))
    model = network.to_keras(parameters, dtype="float64")
    np.testing.assert_allclose(model(x), reference.forward(network, parameters, x), rtol=0, atol=1e-14)
    again, same = Network.from_keras(model, "huber")
    # the initializers come back as their configs
    assert [(n.name, type(n.layer), n.output_shape) for n in again.nodes] == [
        (n.name, type(n.layer), n.output_shape) for n in network.nodes
    ]
    for place, name, w in named_weights(parameters):
        np.testing.assert_array_equal(at(same, place)[name], w)
