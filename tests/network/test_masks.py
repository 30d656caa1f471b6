"""Masks, states and other tensors that a layer takes beside x: shapes, JSON, to Keras and back."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfbp import (
    GRU,
    LSTM,
    AnyOf,
    BatchNormalization,
    Bidirectional,
    Dense,
    GlobalAveragePooling1D,
    Input,
    InputError,
    MultiHeadAttention,
    Network,
    NotEqual,
    Tokens,
    manual,
    reference,
    tape,
)
from tfbp.agreement.cases import cases_of
from tfbp.agreement.problems import problem
from tfbp.network import masks

CASES = {case.name.split("-B")[0]: case for case in cases_of(masks)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_json_and_keras_give_the_same_function(case):
    assert Network.from_json(case.network.to_json()) == case.network
    network = case.network
    numbers = problem(case, "float64")
    expected = _several(reference.forward(network, numbers.parameters, numbers.x))
    model = network.to_keras(numbers.parameters, dtype="float64")
    given = list(numbers.x) if isinstance(numbers.x, tuple) else numbers.x
    # Keras's attention divides by √key_dim in float32
    tolerance = 1e-6 if case.name.startswith("attention") else 1e-12
    for made, right in zip(_several(model(given, training=False)), expected, strict=True):
        assert_allclose(made, right, rtol=0, atol=tolerance)
    again, parameters = Network.from_keras(model, list(network.losses))
    for made, right in zip(_several(reference.forward(again, parameters, numbers.x)), expected, strict=True):
        assert_allclose(made, right, rtol=0, atol=1e-12)
    assert [mask is None for mask in again.loss_masks] == [mask is None for mask in network.loss_masks]


def _several(found):
    return found if isinstance(found, list | tuple) else [found]


@pytest.mark.parametrize("writing", [reference, manual, tape])
def test_a_masked_loss_is_the_mean_over_what_is_shown(writing):
    x, mask = Input((3, 2)), Input(3)
    layer, rng = Dense(2), np.random.default_rng(4)
    network = Network([x, mask], layer(x), "mean_squared_error", loss_masks=mask)
    given, y, weight = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 2)), rng.uniform(1, 2, (2, 3))
    parameters, shown = network.init(0), np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    # the rows that the mask shows, alone
    rows = (array[shown == 1] for array in (given, y, weight))
    chain = Network(2, [Dense(2)], "mean_squared_error")
    right, dright = reference.loss_and_gradients(chain, parameters, *rows)
    loss, gradients = writing.loss_and_gradients(network, parameters, (given, shown), y, weight)
    assert_allclose(loss, right, rtol=1e-12)
    for name, dw in dright[0].items():
        assert_allclose(gradients[0][name], dw, rtol=0, atol=1e-13)
    loss, gradients = writing.loss_and_gradients(network, parameters, (given, 0 * shown), y, weight)
    assert float(loss) == 0
    assert all(not np.asarray(dw).any() for dw in gradients[0].values())


@pytest.mark.parametrize("writing", [reference, manual, tape])
def test_what_a_mask_leaves_out_is_not_in_the_statistics(writing):
    x, mask = Input((3, 2)), Input(3)
    network = Network([x, mask], BatchNormalization(0.5, takes=("mask",))(x, mask), "mean_squared_error")
    shown, rng = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), np.random.default_rng(5)
    given, y = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 2))
    _, _, tensors = writing.loss_gradients_and_tensors(network, network.init(0), (given, shown), y)
    rows = given[shown == 1]
    assert_allclose(tensors[0]["new_weights"]["moving_mean"], 0.5 * rows.mean(axis=0), rtol=1e-6)
    assert_allclose(tensors[0]["new_weights"]["moving_variance"], 0.5 + 0.5 * rows.var(axis=0), rtol=1e-6)
    # as Keras's own, which adds 1e-7 to the number of rows
    layer = keras.layers.BatchNormalization(momentum=0.5, dtype="float64")
    expected = layer(given, mask=shown != 0, training=True)
    assert_allclose(tensors[0]["y"], expected, rtol=0, atol=1e-13)


def test_examples_of_a_masked_loss_have_no_gradient_of_their_own():
    case = CASES["masked-loss"]
    numbers = problem(case, "float64")
    with pytest.raises(InputError, match=r"^network: got a masked loss, a mean over what the whole batch shows; accep"):
        manual.per_example.gradient_norms(case.network, numbers.parameters, numbers.x, numbers.y)


def test_steps_that_a_mask_leaves_out_change_nothing():
    tokens = Input(Tokens(4, 5))
    x, mask = Input((4, 3)), NotEqual(0)(tokens)
    made = LSTM(3, takes=("mask",))(x, mask) + GlobalAveragePooling1D(takes=("mask",))(x, mask)
    network = Network([tokens, x], made, "mean_squared_error")
    rng, shown = np.random.default_rng(1), np.array([[3, 0, 2, 0]])
    given, other = rng.normal(size=(2, 1, 4, 3))
    mixed = np.where(shown[..., None] != 0, given, other)
    parameters = network.init(0)
    assert_allclose(
        reference.forward(network, parameters, (shown, mixed)), reference.forward(network, parameters, (shown, given))
    )
    everything = reference.forward(network, parameters, (shown * 0 + 1, mixed))
    assert np.abs(everything - reference.forward(network, parameters, (shown * 0 + 1, given))).max() > 1e-3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LSTM(3, takes=("masks",)), "takes: got ('masks',); accepted: a tuple of mask, initial_state, each"),
        (
            lambda: LSTM(3, takes=("mask",))(Input((4, 3)), Input(3)),
            "LSTM: got inputs of shape (3,); accepted: a mask (4,) for sequences (4, 3).",
        ),
        (
            lambda: GRU(3, takes=("initial_state",))(Input((4, 3)), Input(4)),
            "GRU: got inputs of shape ((4,),); accepted: initial_state of 1 tensors (3,).",
        ),
        (
            lambda: MultiHeadAttention(1, 2, takes=("value", "value_mask"))(Input((4, 3)), Input((5, 3)), Input(4)),
            "MultiHeadAttention: got inputs of shape (4,); accepted: a value_mask (5,) for 4 queries and 5 keys.",
        ),
        (
            lambda: LSTM(3, takes=("mask", "initial_state"))(Input((4, 3)), Input(4), Input(3)),
            "LSTM: got inputs of shape ((4, 3), (4,), (3,)); accepted: 4 tensors: x and what it takes, mask, initial_s",
        ),
        (lambda: Bidirectional(LSTM(3, return_state=True)), "layer: got LSTM(units=3"),
        (
            lambda: Network(x := Input((4, 3)), Dense(2)(x), "huber", loss_masks=AnyOf(1)(x)),
            "loss_masks: got <Symbol (3,)> for outputs of shape (4, 2); accepted: a tensor of shape (4,).",
        ),
        (
            lambda: Network(x := Input((4, 3)), [Dense(2)(x), Dense(2)(x)], ["huber", "huber"], loss_masks=AnyOf()(x)),
            "loss_masks: got <Symbol (4,)> for 2 outputs; accepted: one for each, or None.",
        ),
        (
            lambda: Network(3, [Dense(2)], "huber", loss_masks=[None]),
            "loss_masks: got [None] for a chain; accepted: in a network of calls, or None.",
        ),
        (
            lambda: BatchNormalization(takes=("mask",))(Input((4, 3)), Input(3)),
            "BatchNormalization: got inputs of shape (3,); accepted: a mask (4,) of steps or pixels, for",
        ),
        (lambda: AnyOf(0), "axis: got 0; accepted: an integer other than 0, the batch."),
        (lambda: NotEqual("a"), "value: got 'a'; accepted: a number."),
        (lambda: Dense(3)(NotEqual(0)(Input(4)), Input(4)), "Dense: got 2 tensors; accepted: one."),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).count("\n") == 0
