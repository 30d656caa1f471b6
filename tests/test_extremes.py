"""Numbers far out: cross-entropies at logits of ±1e4, and every activation where exp would overflow."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, Dense, Network, manual, reference, tape
from tfbp.vocabulary import ACTIVATIONS

LOGITS = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, -1e4], [1e4, 1e4, -1e4]])
LABELS = np.array([1, 1, 0])
MODES = {"eager": None, "graph": False, "xla": True}
IDENTITY = [{"kernel": np.eye(3), "bias": np.zeros(3)}]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("writing", [manual, tape], ids=lambda writing: writing.__name__)
@pytest.mark.parametrize("head", ["linear", "link"])
@pytest.mark.parametrize(
    ("loss", "losses", "doutputs"),
    [
        ("sparse_categorical_crossentropy", [2e4, 0, np.log(2)], [[1, -1, 0], [0, 0, 0], [-0.5, 0.5, 0]]),
        ("categorical_crossentropy", [2e4, 0, np.log(2)], [[1, -1, 0], [0, 0, 0], [-0.5, 0.5, 0]]),
        (
            "binary_crossentropy",
            np.array([2e4 + np.log(2), 0, 1e4]) / 3,
            np.array([[1, -1, 0.5], [0, 0, 0], [0, 1, 0]]) / 3,
        ),
    ],
)
def test_crossentropy_is_exact_at_far_logits(loss, losses, doutputs, head, writing, mode, dtype):
    link = "sigmoid" if loss == "binary_crossentropy" else "softmax"
    network = Network(3, [Dense(3, "linear" if head == "linear" else link)], loss)
    y = LABELS if loss.startswith("sparse") else np.eye(3)[LABELS]

    def run(x):
        return writing.loss_and_gradients(network, IDENTITY, x, y)

    if MODES[mode] is not None:
        run = tf.function(run, jit_compile=MODES[mode])
    value, gradients = run(tf.constant(LOGITS, dtype))
    u = {"float64": 2**-53, "float32": 2**-24}[dtype]
    np.testing.assert_allclose(value, np.mean(losses), rtol=8 * u)
    np.testing.assert_allclose(gradients[0]["bias"], np.mean(doutputs, axis=0), rtol=0, atol=8 * u)
    expected, _ = reference.loss_and_gradients(network, IDENTITY, LOGITS, y)
    assert expected == pytest.approx(np.mean(losses), rel=1e-15)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "exponential"])
def test_activations_stay_finite_and_right_far_out(name, mode):
    arguments = {"threshold": 0.0, "default_value": 1.0} if name == "threshold" else {}
    activation = Activation(name, arguments)
    z = np.array([[-1e4, -200.0, -30.0, 30.0, 200.0, 1e4]])
    dy = np.array([[0.5, -1.0, 2.0, -0.25, 1.5, -1.0]])
    y, kept = reference.activations.activation_forward(activation, z)
    dz = reference.activations.activation_backward(activation, dy, kept)
    assert np.isfinite(y).all()
    assert np.isfinite(dz).all()

    def run(z, dy):
        y, kept = manual.activations.activation_forward(activation, z)
        return y, manual.activations.activation_backward(activation, dy, kept)

    if MODES[mode] is not None:
        run = tf.function(run, jit_compile=MODES[mode])
    got_y, got_dz = run(tf.constant(z), tf.constant(dy))
    for what, got, expected in (("y", got_y, y), ("dz", got_dz, dz)):
        # where the true value is tiny, an absolute rounding of the terms it is the difference of
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13, err_msg=what)
