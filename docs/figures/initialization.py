"""initialization: the size of the deltas by layer in deep tanh networks, before and after training, by scale."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import Dense, Network, datasets, reference
from tfbp.reference.optimizers import SGD

LAYERS, UNITS, STEPS, BATCH = 20, 64, 100, 128
SCALES = (0.5, 0.8, 1.0, 1.5)


def sizes(scale):
    """Returns the root mean square of each layer's dz on the first batch, before training and after."""
    digits = datasets.load("digits", "float64")
    network = Network(64, [*[Dense(UNITS, "tanh")] * LAYERS, Dense(10)], "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    parameters = [{name: w.copy() for name, w in layer.items()} for layer in network.init(seed=0)]
    for layer in parameters:
        layer["kernel"] = scale / np.sqrt(len(layer["kernel"])) * rng.normal(size=layer["kernel"].shape)
    optimizer, found = SGD(0.1), []
    for step in range(STEPS + 1):
        rows = slice(0, BATCH) if step in (0, STEPS) else rng.permutation(len(digits.x_train))[:BATCH]
        _, gradients, tensors = reference.loss_gradients_and_tensors(
            network, parameters, digits.x_train[rows], digits.labels_train[rows]
        )
        if step in (0, STEPS):
            found.append([np.sqrt(np.mean(tensor["dz"] ** 2)) for tensor in tensors[:LAYERS]])
        optimizer.apply(gradients, parameters)
    return found


def figure(found):
    figure, axis = plt.subplots(figsize=(5.5, 2.8))
    for index, (scale, (before, after)) in enumerate(found.items()):
        axis.semilogy(range(LAYERS), before, f"C{index}--", linewidth=1)
        axis.semilogy(range(LAYERS), after, f"C{index}", label=f"s = {scale}")
    axis.set(xlabel="layer", ylabel="root mean square of dz", title="20 layers of 64 tanh units on digits")
    axis.set_xticks(range(0, LAYERS, 4))
    axis.legend(ncols=2)
    return figure


if __name__ == "__main__":
    found = {scale: sizes(scale) for scale in SCALES}
    style.draw("initialization", lambda: figure(found))
