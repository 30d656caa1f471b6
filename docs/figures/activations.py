"""activations, softmax: each with its derivative, by the manual writing; depth: ‖dz‖ by layer."""

import numpy as np
import style
import tensorflow as tf
from matplotlib import pyplot as plt

from tfbp import Activation, Dense, Network, manual, reference
from tfbp.vocabulary import ACTIVATIONS

ARGUMENTS = {"threshold": {"threshold": 0.5, "default_value": -0.5}}
ROWWISE = ("softmax", "log_softmax", "sparsemax")
Z = np.linspace(-8, 8, 801)


def by_manual(name, z, dy):
    activation = Activation(name, ARGUMENTS.get(name, {}))
    y, residuals = manual.activations.activation_forward(activation, tf.constant(z))
    return y.numpy(), manual.activations.activation_backward(activation, tf.constant(dy), residuals).numpy()


def jumps(line, limit):
    """Returns the line, broken where it jumps, so that no stroke is drawn there."""
    line = line.copy()
    line[1:][np.abs(np.diff(line)) > limit] = np.nan
    return line


def activations():
    names = [name for name in ACTIVATIONS if name not in ROWWISE]
    figure, axes = plt.subplots(7, 4, figsize=(8, 11), sharex=True)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names, strict=False):
        y, dz = by_manual(name, Z[:, None], np.ones((len(Z), 1)))
        axis.axhline(0, color="C5", linewidth=0.5)
        axis.plot(Z, jumps(y[:, 0], 0.3) if name in ("hard_shrink", "threshold") else y[:, 0])
        axis.plot(Z, jumps(dz[:, 0], 0.1) if name != "exponential" else dz[:, 0], "C1--")
        axis.set(title=name, xlim=(-8, 8), ylim=(-1.6, 2.6))
    figure.legend(*(axes[0, 0].get_lines()[1:], ["y = f(z)", "derivative"]), loc="lower right", fontsize=9)
    return figure


def softmax():
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.4))
    rows = np.stack([Z, 0 * Z], axis=1)
    for axis, name in zip(axes, ROWWISE, strict=True):
        y, dz = by_manual(name, rows, np.tile([1.0, 0.0], (len(Z), 1)))
        axis.plot(Z, y[:, 0], label="y₀")
        axis.plot(Z, dz[:, 0], "C1--", label="∂y₀/∂z₀")
        axis.plot(Z, dz[:, 1], "C2:", label="∂y₀/∂z₁")
        axis.set(title=f"{name} of (z₀, 0)", xlabel="z₀", ylim=(-2.2, 1.3))
        axis.legend(fontsize=8)
    return figure


def depth():
    figure, axis = plt.subplots(figsize=(5.5, 2.8))
    x = np.random.default_rng(0).normal(size=(64, 32))
    y = np.random.default_rng(1).normal(size=(64, 1))
    for name in ("sigmoid", "tanh", "relu", "linear"):
        initializer = "he_uniform" if name == "relu" else "glorot_uniform"
        hidden = [Dense(32, name, kernel_initializer=initializer) for _ in range(12)]
        network = Network(32, [*hidden, Dense(1)], "half_squared_error")
        _, _, tensors = reference.loss_gradients_and_tensors(network, network.init(seed=0), x, y)
        norms = [np.linalg.norm(tensor["dz"]) for tensor in tensors[:-2]]
        axis.semilogy(range(1, 13), norms, "o-", markersize=3, label=name)
    axis.set(xlabel="hidden layer, 1 is the first", title="‖dz‖ after the backward pass, 12 hidden layers of 32")
    axis.legend(ncol=2)
    return figure


if __name__ == "__main__":
    style.draw("activations", activations)
    style.draw("softmax", softmax)
    style.draw("depth", depth)
