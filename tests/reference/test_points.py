"""The reference where random numbers do not go: the side that it takes at a kink, and its numbers far out.

The suite of points compares the other two writings with it there, in every dtype and mode.
"""

import numpy as np
import pytest

from tfbp import Activation, Dense, Loss, Network, reference
from tfbp.vocabulary import ACTIVATIONS

SELU_SCALE = 1.0507009873554805
# activation: {z at a kink: the derivative there}
KINKS = {
    "relu": {0: 0},
    "relu 6": {0: 0, 6: 0},
    "relu slope": {0: 0.125},
    "relu bounded": {0.25: 0, 1: 1},
    "relu6": {0: 0, 6: 0},
    "leaky_relu": {0: 0.2},
    "elu": {0: 1},
    "elu 0.5": {0: 0.5},
    "celu": {0: 1},
    "selu": {0: SELU_SCALE},
    "hard_sigmoid": {-3: 0, 3: 0},
    "hard_silu": {-3: 0, 3: 1},
    "hard_tanh": {-1: 1, 1: 1},
    "hard_shrink": {-0.5: 0, 0.5: 0},
    "soft_shrink": {-0.5: 0, 0.5: 0},
    "sparse_plus": {-1: 0, 1: 1},
    "sparse_sigmoid": {-1: 0, 1: 0},
    "threshold": {0.25: 0},
}
ARGUMENTS = {
    "threshold": {"threshold": 0.25, "default_value": -0.5},
    "elu 0.5": {"alpha": 0.5},
    "relu 6": {"max_value": 6.0},
    "relu slope": {"negative_slope": 0.125},
    "relu bounded": {"negative_slope": 0.125, "max_value": 1.0, "threshold": 0.25},
}
LOGITS = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, -1e4], [1e4, 1e4, -1e4]])
LABELS = np.array([1, 1, 0])
IDENTITY = [{"kernel": np.eye(3), "bias": np.zeros(3)}]


@pytest.mark.parametrize("name", KINKS)
def test_an_activation_s_derivative_at_a_kink(name):
    activation = Activation(name.split()[0], ARGUMENTS.get(name, {}))
    z = np.array([list(KINKS[name])], np.float64)
    dy = np.full_like(z, -1.5)
    dz = reference.activations.activation_backward(activation, dy, z)
    np.testing.assert_allclose(dz, dy * list(KINKS[name].values()), rtol=1e-15)


def test_sparsemax_is_a_row_with_the_sum_1_and_its_kink_takes_the_side_of_0():
    sparsemax = Activation("sparsemax")
    z = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [2.0, 2.0, 2.0]])  # in the second row z = tau twice
    y, kept = reference.activations.activation_forward(sparsemax, z)
    np.testing.assert_allclose(y, [[0.75, 0.25, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)
    dz = reference.activations.activation_backward(sparsemax, np.array([[1.0, 2.0, 4.0]] * 3), kept)
    np.testing.assert_allclose(dz, [[-0.5, 0.5, 0], [0, 0, 0], [-4 / 3, -1 / 3, 5 / 3]], rtol=1e-15)


@pytest.mark.parametrize(("name", "derivative"), [("mean_absolute_error", 0.0), ("huber", 1.0)])
def test_a_loss_s_derivative_at_a_kink(name, derivative):
    """|o - y| has derivative 0 where o = y; huber's pieces meet at delta with the same slope."""
    outputs, y = np.array([[1.0]]), np.array([[1.0 if derivative == 0 else 0.0]])
    _, kept = reference.losses.loss_forward(Loss(name), y, outputs)
    assert reference.losses.loss_backward(Loss(name), np.ones(1), kept) == derivative


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
def test_a_crossentropy_is_exact_at_far_logits(loss, losses, doutputs, head):
    link = "sigmoid" if loss == "binary_crossentropy" else "softmax"
    network = Network(3, [Dense(3, "linear" if head == "linear" else link)], loss)
    y = LABELS if loss.startswith("sparse") else np.eye(3)[LABELS]
    value, gradients = reference.loss_and_gradients(network, IDENTITY, LOGITS, y)
    assert value == pytest.approx(np.mean(losses), rel=1e-15)
    np.testing.assert_allclose(gradients[0]["bias"], np.mean(doutputs, axis=0), rtol=0, atol=8 * 2**-53)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "exponential"])
def test_an_activation_is_finite_far_out(name):
    """Where exp would overflow, too."""
    activation = Activation(name, {"threshold": 0.0, "default_value": 1.0} if name == "threshold" else {})
    z = np.array([[-1e4, -200.0, -30.0, 30.0, 200.0, 1e4]])
    y, kept = reference.activations.activation_forward(activation, z)
    assert np.isfinite(y).all()
    assert np.isfinite(reference.activations.activation_backward(activation, np.ones_like(z), kept)).all()
