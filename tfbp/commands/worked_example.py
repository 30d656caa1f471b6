"""The 2-2-1 sigmoid network that this project starts from: the listing as published, and the right gradient.

The listing works with column vectors: W0 (2, 2) and W1 (1, 2) are the transposes of the layers' kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfbp import reference
from tfbp.judging.comparison import Comparison, compare
from tfbp.network import Dense, Network, Parameters

NETWORK = Network(
    2, [Dense(2, "sigmoid", use_bias=False), Dense(1, "sigmoid", use_bias=False)], loss="half_squared_error"
)
X, TARGET = np.array([[0.35, 0.9]]), np.array([[0.5]])
W0, W1 = np.array([[0.1, 0.8], [0.4, 0.6]]), np.array([[0.3, 0.9]])
LEARNING_RATE, STEPS = 1.0, 100

Tensors = dict[str, np.ndarray]


def parameters() -> Parameters:
    """Returns W0 and W1 as the network's kernels."""
    return [{"kernel": W0.T.copy()}, {"kernel": W1.T.copy()}]


def published_step(w0: np.ndarray, w1: np.ndarray) -> tuple[float, Tensors]:
    """Runs one step of the listing, every line as published: its error, and its tensors under this project's names."""

    def nonlin(x: np.ndarray, deriv: bool = False) -> np.ndarray:
        return x * (1 - x) if deriv else 1 / (1 + np.exp(-x))

    l0 = X.T
    l1 = nonlin(np.dot(w0, l0))
    l2 = nonlin(np.dot(w1, l1))
    l2_error = TARGET - l2
    l2_delta = l2_error * nonlin(l2, deriv=True)
    l1_error = l2_delta * w1  # (1, 2): a row
    l1_delta = l1_error * nonlin(l1, deriv=True)  # times a column (2, 1): broadcasts to (2, 2)
    update1 = l2_delta * l1.T
    update0 = l0.T.dot(l1_delta)  # (1, 2): added to every row of W0
    # the listing climbs along -gradient, and its vectors are columns: hence the sign and the transposes
    tensors = {
        "layer 1 dz": -l2_delta.T,
        "layer 1 dkernel": -update1.T,
        "layer 1 dx": -l1_error,
        "layer 0 dz": -l1_delta.T,
        "layer 0 dkernel": -update0.T,
    }
    return float((l2_error**2 / 2).item()), tensors


def train_published() -> tuple[list[float], np.ndarray, np.ndarray]:
    """Returns the listing's errors at every step, and its final W0 and W1."""
    w0, w1, errors = W0.copy(), W1.copy(), []
    for _ in range(STEPS):
        error, tensors = published_step(w0, w1)
        errors.append(error)
        w1 = w1 - LEARNING_RATE * tensors["layer 1 dkernel"].T
        w0 = w0 - LEARNING_RATE * tensors["layer 0 dkernel"].T
    return errors, w0, w1


def train(loss_and_gradients: Callable[..., Any]) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Returns the errors and final W0 and W1 with the gradients of one of the three writings."""
    weights, errors = parameters(), []
    for _ in range(STEPS):
        error, gradients = loss_and_gradients(NETWORK, weights, X, TARGET)
        errors.append(float(error))
        for layer, gradient in zip(weights, gradients, strict=True):
            layer["kernel"] = layer["kernel"] - LEARNING_RATE * np.asarray(gradient["kernel"])
    return errors, weights[0]["kernel"].T, weights[1]["kernel"].T


def check_published() -> list[Comparison]:
    """Compares the listing's tensors at step 0 with the reference's, from the loss back to the input."""
    _, gradients, tensors = reference.loss_gradients_and_tensors(NETWORK, parameters(), X, TARGET)
    _, published = published_step(W0, W1)
    expected = {
        "layer 1 dz": tensors[1]["dz"],
        "layer 1 dkernel": gradients[1]["kernel"],
        "layer 1 dx": tensors[1]["dx"],
        "layer 0 dz": tensors[0]["dz"],
        "layer 0 dkernel": gradients[0]["kernel"],
    }
    # each of these products of few terms has at most eight roundings
    return [compare(name, published[name], value, 8 * 2**-53 * np.abs(value)) for name, value in expected.items()]
