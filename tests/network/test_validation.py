"""Bad input gets the same sentence from each writing, whatever the mode."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import Dense, InputError, Network, manual, reference, tape

NETWORK = Network(3, [Dense(4, "tanh"), Dense(2)], "sparse_categorical_crossentropy")
REGRESSION = Network(3, [Dense(2)], "half_squared_error")
X, LABELS, TARGETS, WEIGHT = np.ones((5, 3)), np.array([0, 1, 1, 0, 1]), np.ones((5, 2)), np.ones(5)
WRITINGS = [reference, manual, tape]


def changed(array, index, value):
    array = array.astype(float) if isinstance(value, float) else array.copy()
    array[index] = value
    return array


CASES = {
    "x-rank": ({"x": np.ones(3)}, "x: got shape (3,); accepted: (B, 3) with a batch B of at least 1."),
    "x-width": ({"x": np.ones((5, 4))}, "x: got shape (5, 4); accepted: (B, 3) with a batch B of at least 1."),
    "x-empty": ({"x": np.ones((0, 3))}, "x: got shape (0, 3); accepted: (B, 3) with a batch B of at least 1."),
    "x-nan": ({"x": changed(X, (1, 2), np.nan)}, "x: got nan at [1, 2]; accepted: finite numbers."),
    "x-infinity": ({"x": changed(X, (0, 0), -np.inf)}, "x: got -inf at [0, 0]; accepted: finite numbers."),
    "label-high": ({"y": changed(LABELS, 2, 2)}, "y: got the label 2; accepted: integers from 0 to 1."),
    "label-negative": ({"y": changed(LABELS, 2, -1)}, "y: got the label -1; accepted: integers from 0 to 1."),
    "label-fraction": ({"y": changed(LABELS, 2, 0.5)}, "y: got the label 0.5; accepted: integers from 0 to 1."),
    "label-nan": ({"y": changed(LABELS, 2, np.nan)}, "y: got the label nan; accepted: integers from 0 to 1."),
    "labels-short": ({"y": LABELS[:4]}, "y: got shape (4,); accepted: (5,) integer labels, one for each row of x."),
    "labels-one-hot": ({"y": TARGETS}, "y: got shape (5, 2); accepted: (5,) integer labels, one for each row of x."),
    "weight-shape": ({"sample_weight": np.ones((5, 1))}, "sample_weight: got shape (5, 1); accepted: (5,), one for"),
    "weight-nan": ({"sample_weight": WEIGHT * np.nan}, "sample_weight: got nan; accepted: finite numbers."),
    "layers": ({"parameters": NETWORK.init()[:1]}, "parameters: got 1 layers; accepted: 2, one dict per layer."),
    "names": (
        {"parameters": [{"kernel": np.ones((3, 4))}, NETWORK.init()[1]]},
        "parameters[0]: got the names ['kernel']; accepted: exactly ['bias', 'kernel'].",
    ),
    "kernel-transposed": (
        {"parameters": [{"kernel": np.ones((4, 3)), "bias": np.ones(4)}, NETWORK.init()[1]]},
        "parameters[0]['kernel']: got shape (4, 3); accepted: (3, 4).",
    ),
}
GOOD = {"parameters": NETWORK.init(), "x": X, "y": LABELS, "sample_weight": WEIGHT}


@pytest.mark.parametrize("writing", WRITINGS, ids=lambda writing: writing.__name__)
@pytest.mark.parametrize(("bad", "sentence"), CASES.values(), ids=CASES)
def test_bad_arguments_are_refused_in_one_sentence(writing, bad, sentence):
    with pytest.raises(InputError) as caught:
        writing.loss_and_gradients(NETWORK, **{**GOOD, **bad})
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("writing", WRITINGS, ids=lambda writing: writing.__name__)
def test_good_arguments_are_accepted(writing):
    loss, _ = writing.loss_and_gradients(NETWORK, **GOOD)
    assert np.isfinite(loss)
    assert writing.forward(NETWORK, GOOD["parameters"], X).shape == (5, 2)


@pytest.mark.parametrize("writing", WRITINGS, ids=lambda writing: writing.__name__)
@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (TARGETS[:, :1], "y: got shape (5, 1); accepted: (5, 2), as the network's output."),
        (TARGETS * np.nan, "y: got nan; accepted: finite numbers."),
    ],
    ids=["shape", "nan"],
)
def test_bad_targets_are_refused(writing, y, sentence):
    with pytest.raises(InputError) as caught:
        writing.loss_and_gradients(REGRESSION, REGRESSION.init(), X, y)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("writing", [manual, tape], ids=lambda writing: writing.__name__)
def test_a_wrong_shape_is_refused_while_tracing(writing, jit_compile):
    run = tf.function(lambda x: writing.forward(NETWORK, GOOD["parameters"], x), jit_compile=jit_compile)
    with pytest.raises(InputError, match=r"x: got shape \(5, 4\)"):
        run(tf.ones((5, 4)))


@pytest.mark.parametrize("writing", [manual, tape], ids=lambda writing: writing.__name__)
def test_integers_are_no_x(writing):
    with pytest.raises(InputError, match="x: got dtype int64; accepted: float64, float32, bfloat16 or float16"):
        writing.forward(NETWORK, GOOD["parameters"], np.ones((5, 3), np.int64))
