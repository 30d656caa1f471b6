"""Masks, states and other tensors that a layer takes beside x: shapes, JSON, to Keras and back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfbp import (
    GRU,
    LSTM,
    AnyOf,
    Bidirectional,
    Dense,
    GlobalAveragePooling1D,
    Input,
    InputError,
    MultiHeadAttention,
    Network,
    NotEqual,
    Tokens,
    reference,
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
    expected = reference.forward(network, numbers.parameters, numbers.x)
    model = network.to_keras(numbers.parameters, dtype="float64")
    given = list(numbers.x) if isinstance(numbers.x, tuple) else numbers.x
    # Keras's attention divides by √key_dim in float32
    tolerance = 1e-6 if case.name.startswith("attention") else 1e-12
    assert_allclose(model(given, training=False), expected, rtol=0, atol=tolerance)
    again, parameters = Network.from_keras(model, "sparse_categorical_crossentropy")
    assert_allclose(reference.forward(again, parameters, numbers.x), expected, rtol=0, atol=1e-12)


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
