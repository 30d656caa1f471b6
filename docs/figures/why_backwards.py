"""why_backwards: the time of one gradient by differences, by forward mode and by reverse mode, against the weights."""

import time

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import Dense, Network, reference

WIDTHS = (2, 4, 8, 16, 32)


def moved(parameters, index, name, place, step):
    copies = [{key: np.array(w, np.result_type(w, step)) for key, w in layer.items()} for layer in parameters]
    copies[index][name][place] += step
    return copies


def seconds(work):
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def measure():
    """Returns the number of weights, and the seconds of each of the three ways."""
    rows = []
    for width in WIDTHS:
        network = Network(width, [Dense(width, "tanh"), Dense(width)], "half_squared_error")
        x, parameters = np.random.default_rng(0).normal(size=(32, width)), network.init(seed=0)
        places = [(i, n, p) for i, layer in enumerate(parameters) for n in layer for p in np.ndindex(layer[n].shape)]

        def passes(step, network=network, x=x, parameters=parameters, places=places):
            for place in places:
                reference.loss_and_outputs(network, moved(parameters, *place, step), x, x)

        def back(network=network, x=x, parameters=parameters):
            reference.loss_and_gradients(network, parameters, x, x)

        rows.append((len(places), seconds(lambda: passes(1e-6)), seconds(lambda: passes(1e-150j)), seconds(back)))
    return np.array(rows).T


def figure(measured):
    weights, *times = measured
    figure, axis = plt.subplots(figsize=(5.5, 2.8))
    for label, values in zip(("differences", "forward mode", "reverse mode"), times, strict=True):
        axis.loglog(weights, values, "o-", markersize=3, label=label)
    axis.set(xlabel="weights", ylabel="seconds", title="One gradient of a network of two layers, 32 rows")
    axis.legend()
    return figure


if __name__ == "__main__":
    found = measure()
    style.draw("why_backwards", lambda: figure(found))
