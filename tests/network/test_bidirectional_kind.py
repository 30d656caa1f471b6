"""Recurrences both ways: shapes, weights, JSON, Keras both ways, and bad input."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp import GRU, LSTM, Bidirectional, Dense, Flatten, InputError, Network, Residual, SimpleRNN, reference
from tfbp.bridge.layers import layer_from_keras
from tfbp.network import at, named_weights
from tfbp.reference.optimizers import optimizer
from tfbp.reference.trainer import Trainer

LAYERS = {
    "concat": Bidirectional(LSTM(4, return_sequences=True, kernel_regularizer="l2")),
    "sum-last": Bidirectional(GRU(4, reset_after=False), "sum"),
    "mul": Bidirectional(SimpleRNN(4, return_sequences=True, use_bias=False), "mul"),
    "ave": Bidirectional(GRU(4, return_sequences=True), "ave"),
}
X = np.random.default_rng(0).normal(size=(7, 6, 5))


@pytest.mark.parametrize("name", LAYERS)
def test_a_network_goes_through_json_and_keras(name):
    network = Network((6, 5), [LAYERS[name], Flatten(), Dense(2)], "huber")
    parameters = network.init(0)
    assert Network.from_json(network.to_json()) == network
    model = network.to_keras(parameters, "float64")
    assert isinstance(model, keras.Sequential)
    assert isinstance(model.layers[0], keras.layers.Bidirectional)
    assert model.layers[0].output.shape[1:] == network.layers[0].output_shape((6, 5))
    expected = reference.forward(network, parameters, X)
    np.testing.assert_allclose(model(X), expected, rtol=1e-12, atol=1e-12)
    back, same = Network.from_keras(model, "huber")
    assert back.layers[0].merge_mode == network.layers[0].merge_mode
    np.testing.assert_array_equal(reference.forward(back, same, X), expected)


def test_in_a_residual_block_and_by_hand():
    inner = Bidirectional(SimpleRNN(5, return_sequences=True), "sum")
    network = Network((6, 5), [Residual([inner]), Dense(2)], "huber")
    parameters = network.init(0)
    model = network.to_keras(parameters, "float64", layers=tfbp.layers)
    wrapper = next(layer for layer in model.layers if isinstance(layer, keras.layers.Bidirectional))
    assert isinstance(wrapper.forward_layer, tfbp.layers.SimpleRNN)
    np.testing.assert_allclose(model(X), reference.forward(network, parameters, X), rtol=1e-12, atol=1e-12)
    back, same = Network.from_keras(model, "huber")
    assert back.parameter_shapes() == network.parameter_shapes()
    np.testing.assert_array_equal(same[0]["layers"][0]["backward_layer"][0]["kernel"],
                                  parameters[0]["layers"][0]["backward_layer"][0]["kernel"])  # fmt: skip


def test_fit_follows_the_reference():
    network = Network((6, 5), [LAYERS["sum-last"], Dense(2)], "sparse_categorical_crossentropy")
    y = np.random.default_rng(1).integers(0, 2, 7)
    model = tfbp.Model(network, dtype="float64")
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.fit(X, y, batch_size=4, epochs=2, verbose=0)
    trainer = Trainer(network, network.init(0), optimizer("adam", 0.01), X, y)
    for epoch in range(2):
        trainer.train_epoch(np.random.default_rng([0, epoch]).permutation(7), 4)
    for place, name, w in named_weights(trainer.parameters()):
        np.testing.assert_allclose(at(model.get_parameters(), place)[name], w, rtol=0, atol=1e-12)


def other(**options):
    return keras.layers.Bidirectional(
        keras.layers.GRU(4), backward_layer=keras.layers.GRU(4, go_backwards=True, **options), name="mine"
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Bidirectional(LSTM(4), "max"), "merge_mode: got 'max'; accepted: concat, sum, mul, ave."),
        (
            lambda: Bidirectional(Flatten()),
            "layer: got Flatten(); accepted: a tfbp.SimpleRNN, LSTM or GRU with go_back",
        ),
        (
            lambda: layer_from_keras(keras.layers.Bidirectional(keras.layers.GRU(4), merge_mode=None, name="mine")),
            "model: 'mine': merge_mode: got None; accepted: concat, sum, mul, ave.",
        ),
        (
            lambda: layer_from_keras(other(reset_after=False)),
            "model: 'mine': backward_layer: got reset_after=False; accepted: True, as forward.",
        ),
        (
            lambda: layer_from_keras(keras.layers.Bidirectional(keras.layers.GRU(4, stateful=True, name="in"))),
            "model: 'backward_in': stateful: got True; accepted: False.",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)


def test_one_that_goes_backwards_is_refused():
    with pytest.raises(InputError, match=r"accepted: a tfbp\.SimpleRNN, LSTM or GRU with go_backwards=False, without"):
        Bidirectional(SimpleRNN(3, go_backwards=True))
