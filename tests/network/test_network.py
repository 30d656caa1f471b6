"""Describing a network: what is accepted, what is refused and in which words, and the way through JSON."""

import keras
import numpy as np
import pytest

from tfbp import L1L2, Activation, Dense, Flatten, InputError, Loss, Network, Reshape, Residual, reference
from tfbp.network import map_weights, named_weights

NETWORK = Network(
    5,
    [
        Dense(7, Activation("leaky_relu", {"negative_slope": 0.1}), kernel_initializer="he_normal"),
        Dense(3, "gelu", use_bias=False, kernel_regularizer=L1L2(l2=0.1)),
        Dense(2, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5), bias_initializer="ones"),
    ],
    Loss("huber", {"delta": 2.0}),
)


def test_json_round_trip_gives_an_equal_network():
    assert Network.from_json(NETWORK.to_json()) == NETWORK
    other = Network(5, NETWORK.layers, Loss("huber", {"delta": 3.0}))
    assert Network.from_json(other.to_json()) != NETWORK


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"inputs": 2, "layers": [{}], "loss": {"name": "huber"}}'])
def test_text_that_is_no_network_is_refused(text):
    with pytest.raises(InputError, match=r"^text: got JSON that is no network"):
        Network.from_json(text)


def test_init_has_the_shapes_is_float64_and_follows_its_seed():
    first, again, other = NETWORK.init(seed=3), NETWORK.init(seed=3), NETWORK.init(seed=4)
    for layer, shapes in zip(first, NETWORK.parameter_shapes(), strict=True):
        assert {name: w.shape for name, w in layer.items()} == shapes
        assert all(w.dtype == np.float64 for w in layer.values())
    np.testing.assert_array_equal(first[0]["kernel"], again[0]["kernel"])
    assert np.abs(first[0]["kernel"] - other[0]["kernel"]).max() > 0.1
    np.testing.assert_array_equal(first[2]["bias"], [1, 1])


def test_equal_layers_start_apart():
    twins = Network(4, [Dense(4), Dense(4)], "huber").init(seed=0)
    assert np.abs(twins[0]["kernel"] - twins[1]["kernel"]).max() > 0.1


@pytest.mark.parametrize("change", ["append", "assign"])
def test_a_network_cannot_be_changed(change):
    with pytest.raises(AttributeError):
        NETWORK.layers.append(Dense(1)) if change == "append" else setattr(NETWORK, "inputs", 6)


def test_networks_made_from_it_have_nodes_of_their_own():
    penalized = Network(5, [Dense(4, kernel_regularizer=L1L2(l2=0.5)), Dense(2)], "huber")
    assert penalized.nodes is penalized.nodes
    assert [bool(network.penalties) for network in (penalized, penalized.without_penalties())] == [True, False]
    assert penalized.weighted([3.0]).loss_weights == (3.0,)
    assert penalized.weighted([1.0]) == penalized


def test_a_network_can_be_a_dictionary_key():
    assert {NETWORK: 1}[Network.from_json(NETWORK.to_json())] == 1


@pytest.mark.parametrize(
    ("activation", "loss", "fuses"),
    [
        ("softmax", "categorical_crossentropy", True),
        ("softmax", "sparse_categorical_crossentropy", True),
        ("sigmoid", "binary_crossentropy", True),
        ("sigmoid", "categorical_crossentropy", False),
        ("softmax", "half_squared_error", False),
        ("linear", "categorical_crossentropy", False),
    ],
)
def test_the_loss_fuses_its_own_link_and_no_other(activation, loss, fuses):
    network = Network(3, [Dense(2, activation)], loss)
    assert network.fuses_output_activation is fuses
    assert network.layers_before_loss[-1].applied_activation.name == ("linear" if fuses else activation)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Dense(0), "units: got 0; accepted: an integer of at least 1."),
        (lambda: Dense(-2), "units: got -2; accepted: an integer of at least 1."),
        (lambda: Dense(2.0), "units: got 2.0; accepted: an integer of at least 1."),
        (lambda: Dense(True), "units: got True; accepted: an integer of at least 1."),
        (lambda: Dense(2, use_bias=1), "use_bias: got 1; accepted: True or False."),
        (lambda: Dense(2, "rleu"), "activation: got 'rleu' (did you mean 'relu'?); accepted: linear, "),
        (lambda: Dense(2, 5), "activation: got 5; accepted: linear, "),
        (lambda: Dense(2, "glu"), "activation: got 'glu', which halves the last axis; accepted: activations that keep"),
        (lambda: Dense(2, "threshold"), "activation 'threshold': got no threshold; accepted: tfbp.Activation("),
        (lambda: Activation("tanh", {"alpha": 1}), "activation 'tanh': got the argument 'alpha'; accepted: no arg"),
        (lambda: Activation("celu", {"alpha": 0}), "activation 'celu': alpha: got 0; accepted: a finite number above"),
        (lambda: Activation("elu", {"alpha": np.nan}), "activation 'elu': alpha: got nan; accepted: a finite number."),
        (lambda: Activation("gelu", {"approximate": 1}), "activation 'gelu': approximate: got 1; accepted: True or"),
        (lambda: Loss("huber", {"delta": -1}), "loss 'huber': delta: got -1; accepted: a finite number above 0."),
        (lambda: Loss("l2"), "loss: got 'l2'; accepted: half_squared_error, "),
        (lambda: L1L2(l1=-1), "l1: got -1; accepted: a finite number, 0 or more."),
        (lambda: Dense(2, kernel_regularizer="l3"), "kernel_regularizer: got 'l3'; accepted: l1, l2, l1_l2, or"),
        (lambda: Dense(2, kernel_initializer=3), "kernel_initializer: got 3; accepted: a Keras initializer, its name"),
        (lambda: Network(0, [Dense(1)], "huber"), "inputs: got 0; accepted: an integer of at least 1."),
        (
            lambda: Network(1, [], "huber"),
            "layers: got []; accepted: a list of one or more layers, such as tfbp.Dense.",
        ),
        (lambda: Network(1, [3], "huber"), "layers[0]: got 3; accepted: a layer, such as tfbp.Dense."),
        (lambda: NETWORK.init(-1), "seed: got -1; accepted: an integer of 0 or more."),
        (
            lambda: Network(3, [Dense(2, kernel_initializer="glorrot")], "huber").init(),
            "kernel_initializer: got 'glorrot', which makes no tensor of shape (3, 2) in Keras",
        ),
    ],
)
def test_bad_descriptions_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("mse", "mean_squared_error"), ("mae", "mean_absolute_error"), ("bce", "binary_crossentropy")],
)
def test_keras_s_short_names_of_losses_are_taken(alias, name):
    assert Network(2, [Dense(1)], alias) == Network(2, [Dense(1)], name)


@pytest.mark.parametrize(
    ("inputs", "layers", "sentence"),
    [
        ((4, 0), [Flatten()], "inputs: got (4, 0); accepted: an integer of at least 1, or a tuple of such."),
        (
            (4, 6),
            [Dense(5), Reshape((3, 7)), Flatten()],
            "layers[1]: Reshape: got inputs of shape (4, 5); accepted: inputs of 21 numbers, for the shape (3, 7).",
        ),
        (
            (4, 6),
            [Dense(5), Residual([Flatten()]), Flatten()],
            "layers[1]: Residual: got inputs of shape (4, 5); accepted: layers that keep the shape, or a projection to",
        ),
        (
            (4, 6),
            [Residual([Dense(5)], [Dense(4)]), Flatten()],
            "layers[0]: Residual: got inputs of shape (4, 6); accepted: a projection to the layers' shape (4, 5), w",
        ),
        (
            (4, 6),
            [Residual([Dense(6), Reshape((5, -1))]), Flatten()],
            "layers[0]: layers[1]: Reshape: got inputs of shape (4, 6); accepted: inputs of a multiple of 5 numbers",
        ),
    ],
    ids=["inputs", "reshape", "shapes-differ", "projection", "inside"],
)
def test_layers_that_do_not_fit_are_refused_by_index(inputs, layers, sentence):
    with pytest.raises(InputError) as caught:
        Network(inputs, layers, "huber")
    assert str(caught.value).startswith(sentence)


SHAPED = Network(
    (4, 6),
    [
        Dense(5, "tanh"),
        Residual([Dense(8, "gelu", kernel_regularizer="l2"), Residual([Activation("silu"), Dense(8)]), Dense(3)]),
        Reshape((2, -1)),
        Activation("leaky_relu", {"negative_slope": 0.1}),
        Flatten(),
        Dense(2),
        Activation("softmax"),
    ],
    "categorical_crossentropy",
)


def test_shapes_places_and_names_of_a_network_with_parts():
    assert [(node.name, node.input_shape, node.output_shape) for node in SHAPED.nodes] == [
        ("0", (4, 6), (4, 5)),
        ("1.layers.0", (4, 5), (4, 8)),
        ("1.layers.1.layers.0", (4, 8), (4, 8)),
        ("1.layers.1.layers.1", (4, 8), (4, 8)),
        ("1.layers.1", (4, 8), (4, 8)),
        ("1.layers.2", (4, 8), (4, 3)),
        ("1.projection.0", (4, 5), (4, 3)),
        ("1", (4, 5), (4, 3)),
        ("2", (4, 3), (2, 6)),
        ("3", (2, 6), (2, 6)),
        ("4", (2, 6), (12,)),
        ("5", (12,), (2,)),
        ("6", (2,), (2,)),
    ]
    assert SHAPED.fuses_output_activation
    assert SHAPED.penalties == [((1, "layers", 0), "kernel", L1L2(l2=0.01))]
    assert not SHAPED.without_penalties().penalties
    shapes = {
        (*place, name): np.shape(w)
        for place, name, w in named_weights(map_weights(np.zeros, SHAPED.parameter_shapes()))
    }
    assert shapes[1, "projection", 0, "kernel"] == (5, 3)
    assert {(*place, name): w.shape for place, name, w in named_weights(SHAPED.init(seed=1))} == shapes
    assert Network((5,), [Dense(1)], "huber") == Network(5, [Dense(1)], "huber")


def test_a_network_with_parts_goes_through_json():
    assert Network.from_json(SHAPED.to_json()) == SHAPED
    assert {SHAPED: 1}[Network.from_json(SHAPED.to_json())] == 1


def test_parameters_of_a_part_are_checked_by_their_place():
    parameters = SHAPED.init(seed=0)
    parameters[1]["layers"][1]["layers"][1]["bias"] = np.zeros(3)
    with pytest.raises(InputError) as caught:
        reference.forward(SHAPED, parameters, np.zeros((2, 4, 6)))
    said = "parameters[1]['layers'][1]['layers'][1]['bias']: got shape (3,); accepted: (8,)."
    assert str(caught.value) == said
    with pytest.raises(InputError, match=r"^x: got shape \(2, 6, 4\); accepted: \(B, 4, 6\) with a batch B"):
        reference.forward(SHAPED, SHAPED.init(seed=0), np.zeros((2, 6, 4)))
    x = np.zeros((2, 4, 6))
    x[1, 2, 3] = np.inf
    with pytest.raises(InputError, match=r"^x: got inf at \[1, 2, 3\]; accepted: finite numbers\."):
        reference.forward(SHAPED, SHAPED.init(seed=0), x)
