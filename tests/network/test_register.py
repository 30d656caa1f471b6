"""Anybody's kind of layer: registered in one line, it is like the house's own; what is wrong is one sentence."""

from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import Dense, InputError, Network, manual, reference, tape
from tfbp.agreement.cases import all_cases, registered_cases
from tfbp.agreement.matrix import Cell, first_wrong, run_cell
from tfbp.network import Setting, kinds

REGISTRY = import_module("tfbp.network.kinds")
X = np.random.default_rng(0).normal(size=(6, 5))


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Removes after each test the kinds that it registered."""
    for name in ("_KINDS", "_WRITINGS"):
        monkeypatch.setattr(REGISTRY, name, dict(getattr(REGISTRY, name)))


@dataclass(frozen=True)
class Scaled(tfbp.Layer):
    scale_initializer: str = "ones"

    def output_shape(self, input_shape):
        return input_shape

    def weight_shapes(self, input_shape):
        return {"scale": input_shape[-1:]}


def forward(layer, weights, x, *, training, seed):
    return x * weights["scale"], (x, weights["scale"]), {}


def backward(layer, dz, residuals):
    x, scale = residuals
    return dz * scale, {"scale": (dz * x).sum(axis=0) if isinstance(x, np.ndarray) else tf.reduce_sum(dz * x, 0)}


def by_tape(layer, weights, x, *, training, seed):
    return x * weights["scale"], {}


PAIR = forward, backward
NETWORK = Network(5, [Scaled(), Dense(3)], "mean_squared_error")
CASES = [Setting("scaled-B6-I5-O3", 5, [Scaled(), Dense(3)], 6)]


def register(kind=Scaled, pair=PAIR, **options):
    tfbp.register(kind, reference=PAIR, manual=pair, tape=by_tape, cases=CASES, **options)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_registered_kind_goes_through_the_matrix(mode):
    register()
    assert [case.name for case in registered_cases()] == ["scaled-B6-I5-O3"]
    assert registered_cases()[0] in all_cases()
    assert first_wrong(run_cell(Cell(registered_cases()[0], "float32", mode))) is None


def test_a_mistake_in_it_is_named():
    register(pair=(forward, lambda layer, dz, kept: backward(layer, 2 * dz, kept)))
    wrong = first_wrong(run_cell(Cell(registered_cases()[0], "float64", "eager")))
    assert (wrong.pair, wrong.comparison.tensor) == ("manual-reference", "layer 0 dscale")


def test_it_goes_through_json_and_has_norms_of_single_examples():
    register(per_example={"gradients": lambda layer, x, dz: {"scale": x * dz}})
    assert Network.from_json(NETWORK.to_json()) == NETWORK
    y, parameters = np.ones((6, 3)), NETWORK.init(1)
    found = manual.per_example.gradient_norms(NETWORK, parameters, tf.constant(X), tf.constant(y))
    expected = reference.per_example.gradient_norms(NETWORK, parameters, X, y)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("writing", [reference, manual, tape], ids=lambda room: room.__name__)
def test_a_kind_without_writings_is_one_sentence(writing):
    sentence = r"^layers: got Scaled, which has no writings; accepted: a kind that tfbp\.register was given\.$"
    with pytest.raises(InputError, match=sentence):
        writing.forward(NETWORK, NETWORK.init(0), tf.constant(X))


def test_json_of_an_unknown_kind_is_one_sentence():
    with pytest.raises(InputError, match=r"^text: got a layer of the kind 'Scaled'; accepted: one of ours, or one"):
        Network.from_json(NETWORK.to_json())


def test_a_class_that_shares_a_known_name_breaks_no_other_network():
    network = Network(5, [Dense(3)], "huber")
    expected = reference.forward(network, network.init(0), X)

    @dataclass(frozen=True)
    class Dense_(tfbp.Layer):
        keras_name = "Dense"

        def output_shape(self, input_shape):
            return input_shape

    again = Network.from_json(network.to_json())
    assert again == network
    np.testing.assert_array_equal(reference.forward(again, network.init(0), X), expected)
    with pytest.raises(InputError, match=r"^kind: got .*Dense_, named 'Dense' as tfbp\.network\.dense\.Dense;"):
        register(Dense_)
    with pytest.raises(InputError, match=r"^layers: got Dense_, which has no writings"):
        reference.forward(Network(5, [Dense_()], "huber"), [{}], X)


def test_two_classes_of_one_name_are_one_sentence():
    register()
    other = dataclass(frozen=True)(type("Scaled", (tfbp.Layer,), {"__module__": "elsewhere"}))
    with pytest.raises(InputError, match=r"^kind: got elsewhere\.Scaled, named 'Scaled' as .*test_register\.Scaled;"):
        register(other)
    # the same class, defined once more, as a notebook's cell does
    again = dataclass(frozen=True)(type("Scaled", (Scaled,), {"__module__": Scaled.__module__}))
    register(again)
    assert kinds()["Scaled"] is again


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": 3}, "kind: got 3; accepted: a subclass of tfbp.network.Layer."),
        ({"pair": forward}, "manual: got <function forward"),
        ({"per_example": {"norm": forward}}, "per_example: got 'norm': <function"),
    ],
    ids=["kind", "pair", "per_example"],
)
def test_bad_input_is_one_sentence(given, sentence):
    with pytest.raises(InputError) as caught:
        register(**given)
    assert str(caught.value).startswith(sentence)


def test_a_known_kind_has_no_keras_layer_of_a_registered_one():
    register()
    with pytest.raises(InputError, match=r"^layers: got Scaled, of which there is no Keras layer; accepted:"):
        NETWORK.to_keras(NETWORK.init(0))
