"""learning_rates: steps along ½(y - o)² at four rates; contours: the same in two weights, by the reference."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import Dense, Network, reference

RATES = {0.02: "crawls", 0.4: "converges", 1.9: "oscillates", 2.1: "diverges"}
# two inputs on unlike scales: the valley is narrow in one weight and long in the other
X = np.array([[1.0, 0.2], [-1.0, 0.3], [0.5, -0.4], [-0.5, -0.3]])
NETWORK = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
TARGET = X @ np.array([[1.0], [2.0]])


def learning_rates():
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.4), sharey=True)
    o = np.linspace(-1.4, 3.4, 200)
    for axis, (rate, what) in zip(axes, RATES.items(), strict=True):
        path = [-0.8]
        for _ in range(12):
            path.append(path[-1] - rate * (path[-1] - 1))
        path = np.array([each for each in path if -1.4 <= each <= 3.4])
        axis.plot(o, (1 - o) ** 2 / 2, color="C5", linewidth=1)
        axis.plot(path, (1 - path) ** 2 / 2, "C1o-", markersize=3, linewidth=0.8)
        axis.set(title=f"η = {rate}: {what}", xlabel="o")
    axes[0].set_ylabel("½ (y - o)²,  y = 1")
    return figure


def descend(rate, steps, start=(-1.0, -1.5)):
    kernel, path = np.array(start)[:, None], []
    for _ in range(steps):
        path.append(kernel[:, 0])
        _, gradients = reference.loss_and_gradients(NETWORK, [{"kernel": kernel}], X, TARGET)
        kernel = kernel - rate * gradients[0]["kernel"]
    return np.array(path)


def contours():
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.8), sharey=True)
    w0, w1 = np.meshgrid(np.linspace(-2, 4, 81), np.linspace(-3, 7, 81))
    errors = w0[..., None] * X[:, 0] + w1[..., None] * X[:, 1] - TARGET[:, 0]
    loss = (errors**2 / 2).mean(axis=-1)
    for axis, rate in zip(axes, (0.3, 1.5, 3.05), strict=True):
        axis.contour(w0, w1, loss, levels=np.geomspace(0.003, 4, 10), colors="C5", linewidths=0.6)
        path = descend(rate, 40)
        axis.plot(*path.T, "C1o-", markersize=2.5, linewidth=0.8)
        axis.plot(1, 2, "C0*", markersize=9)
        axis.set(title=f"η = {rate}, 40 steps", xlabel="kernel[0]", xlim=(-2, 4), ylim=(-3, 7))
    axes[0].set_ylabel("kernel[1]")
    return figure


if __name__ == "__main__":
    style.draw("learning_rates", learning_rates)
    style.draw("contours", contours)
