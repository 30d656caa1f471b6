"""tangents: three functions, their derivatives and a tangent; steps: three ways to compute a derivative, against h."""

import numpy as np
import style
from matplotlib import pyplot as plt

FUNCTIONS = {
    "2x": (lambda x: 2 * x, lambda x: 2 + 0 * x, "2"),
    "x²": (lambda x: x**2, lambda x: 2 * x, "2x"),
    "x³ + 3x + 4": (lambda x: x**3 + 3 * x + 4, lambda x: 3 * x**2 + 3, "3x² + 3"),
}


def tangents():
    figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.6))
    x, at = np.linspace(-2, 2, 201), 0.75
    for axis, (name, (f, df, derivative)) in zip(axes, FUNCTIONS.items(), strict=True):
        axis.plot(x, f(x), label=name)
        axis.plot(x, df(x), "C1--", label=f"derivative {derivative}")
        near = np.array([at - 0.9, at + 0.9])
        axis.plot(near, f(at) + df(at) * (near - at), "C2", linewidth=1)
        axis.plot(at, f(at), "C2o", markersize=4)
        axis.set(title=f"slope at {at}: {df(at):g}", xlabel="x")
        axis.legend(fontsize=7)
    return figure


def steps():
    f, df = FUNCTIONS["x³ + 3x + 4"][:2]
    x, h = 0.75, 10.0 ** np.arange(-16, 0.01, 0.25)
    one_sided = np.abs((f(x + h) - f(x)) / h - df(x)) / df(x)
    central = np.abs((f(x + h) - f(x - h)) / (2 * h) - df(x)) / df(x)
    stepped = np.abs(np.imag(f(x + 1j * h)) / h - df(x)) / df(x)
    figure, axis = plt.subplots(figsize=(5.5, 2.8))
    # an error of exactly 0 has no place on this axis: it is drawn at its bottom
    axis.loglog(h, np.maximum(one_sided, 1e-17), label="one-sided quotient")
    axis.loglog(h, np.maximum(central, 1e-17), label="central difference")
    axis.loglog(h, np.maximum(stepped, 1e-17), label="complex step")
    axis.axhline(2**-53, color=style.ink(), linewidth=0.7)
    axis.annotate("unit roundoff", (1, 2**-53), ha="right", va="bottom", fontsize=8)
    axis.set(xlabel="h", ylabel="relative error", title="The derivative of x³ + 3x + 4 at 0.75")
    axis.legend()
    return figure


if __name__ == "__main__":
    style.draw("tangents", tangents)
    style.draw("steps", steps)
