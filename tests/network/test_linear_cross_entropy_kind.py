"""The last dense layer that is one with its loss: JSON, Keras both ways, where a network takes it, and bad input."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp import Dense, InputError, LinearCrossEntropy, Network, Residual, manual, reference, tape
from tfbp.keras_layers import layer_from_keras
from tfbp.network import kinds

LOSS = "sparse_categorical_crossentropy"
WRITINGS = {"reference": reference, "manual": manual, "tape": tape}
OPTIONS = {"use_bias": False, "kernel_initializer": "he_normal", "kernel_regularizer": "l2"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4, 5))


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["by-default", "options"])
def test_it_is_a_dense_layer_to_keras_and_in_every_writing(options):
    network = Network((4, 5), [Dense(3, "tanh"), LinearCrossEntropy(7, **options)], LOSS)
    dense = Network((4, 5), [Dense(3, "tanh"), Dense(7, "linear", **options)], LOSS)
    parameters = network.init(0)
    assert network.parameter_shapes() == dense.parameter_shapes()
    for name, w in dense.init(0)[1].items():
        np.testing.assert_array_equal(parameters[1][name], w)
    assert Network.from_json(network.to_json()) == network
    model = network.to_keras(parameters, dtype="float64")
    assert type(model.layers[-1]) is keras.layers.Dense
    back, same = Network.from_keras(model, LOSS)
    assert back == Network.from_keras(dense.to_keras(parameters, dtype="float64"), LOSS)[0]
    expected = reference.forward(dense, parameters, X)
    for each in WRITINGS.values():
        np.testing.assert_allclose(each.forward(network, parameters, X), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(reference.forward(back, same, X), expected)


def test_by_hand_in_keras_it_is_a_hand_written_dense_layer():
    network = Network((4, 5), [LinearCrossEntropy(7)], LOSS)
    assert type(network.to_keras(network.init(0), layers=tfbp.layers).layers[-1]) is tfbp.layers.Dense


def test_a_keras_model_with_the_layer_of_tfbp_layers_is_taken():
    inputs = keras.Input((4, 5), dtype="float64")
    model = keras.Model(inputs, tfbp.layers.LinearCrossEntropy(7, kernel_regularizer="l2", dtype="float64")(inputs))
    network, parameters = Network.from_keras(model, LOSS)
    (layer,) = network.layers
    assert (type(layer), layer.units, layer.kernel_regularizer) == (LinearCrossEntropy, 7, tfbp.L1L2(l2=0.01))
    np.testing.assert_allclose(reference.forward(network, parameters, X), model(X), rtol=1e-12, atol=1e-12)


def test_a_network_tells_it():
    assert kinds()["LinearCrossEntropy"] is LinearCrossEntropy
    assert repr(Network(5, [LinearCrossEntropy(7)], LOSS)) == f"<Network (5): LinearCrossEntropy (7); {LOSS}>"
    assert "LinearCrossEntropy" in Network(5, [Dense(3), LinearCrossEntropy(7)], LOSS).draw().svg


HEAD = LinearCrossEntropy(7)
ONLY_LAST = "got LinearCrossEntropy; accepted: as the last layer of a network only."


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Network(5, [HEAD, Dense(3)], LOSS), f"layers[0]: {ONLY_LAST}"),
        (lambda: Network(5, [HEAD, HEAD], LOSS), f"layers[0]: {ONLY_LAST}"),
        (lambda: Network(5, [HEAD, tfbp.Activation("softmax")], LOSS), f"layers[0]: {ONLY_LAST}"),
        (lambda: Network(7, [Residual([HEAD])], LOSS), f"layers[0.layers.0]: {ONLY_LAST}"),
        (lambda: Network(5, [Residual([Dense(7)], [HEAD])], LOSS), f"layers[0.projection.0]: {ONLY_LAST}"),
        (
            lambda: Network(5, [HEAD], "categorical_crossentropy"),
            f"loss: got 'categorical_crossentropy' after LinearCrossEntropy; accepted: '{LOSS}'.",
        ),
        (lambda: LinearCrossEntropy(0), "units: got 0; accepted: an integer of at least 1."),
        (lambda: LinearCrossEntropy(7, "relu"), "use_bias: got 'relu'; accepted: True or False."),
        (
            lambda: layer_from_keras(tfbp.layers.LinearCrossEntropy(7, z_loss=0.5, name="head")),
            "sequential: 'head': z_loss: got 0.5; accepted: 0.0.",
        ),
        (
            lambda: layer_from_keras(tfbp.layers.LinearCrossEntropy(7, ignore_index=0, name="head")),
            "sequential: 'head': ignore_index: got 0; accepted: None.",
        ),
        (
            lambda: layer_from_keras(tfbp.layers.LinearCrossEntropy(7, kernel_constraint="unit_norm", name="head")),
            "sequential: got 'head' with kernel_constraint; accepted: a LinearCrossEntropy without it.",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == sentence
