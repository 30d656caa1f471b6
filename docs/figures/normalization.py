"""normalization: dkernel by layer in deep relu networks, and their loss while training, by normalization and scale."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import Activation, BatchNormalization, Dense, LayerNormalization, Network, datasets, reference
from tfbp.reference.optimizers import SGD
from tfbp.reference.trainer import Trainer

LAYERS, UNITS, STEPS, BATCH, LEARNING_RATE = 20, 64, 150, 128, 0.02
SCALES = (0.5, 1.0, 1.5)
BETWEEN = {
    "without": [],
    "BatchNormalization": [BatchNormalization()],
    "LayerNormalization": [LayerNormalization()],
}


def start(between, scale):
    """Returns the network, and its parameters with the hidden kernels `scale` times as large as He has them."""
    hidden = [Dense(UNITS, use_bias=False), *between, Activation("relu")]
    network = Network(64, [*hidden * LAYERS, Dense(10)], "sparse_categorical_crossentropy")
    rng, parameters = np.random.default_rng(0), network.init(seed=0)
    for layer in parameters[:-1]:
        if "kernel" in layer:
            layer["kernel"] = scale * np.sqrt(2 / UNITS) * rng.normal(size=layer["kernel"].shape)
    return network, parameters


def run(between, scale):
    """The norm of each hidden layer's dkernel on the first batch, and the loss of each step, while it is a number."""
    digits = datasets.load("digits", "float64")
    network, parameters = start(between, scale)
    batch = digits.x_train[:BATCH], digits.labels_train[:BATCH]
    _, gradients = reference.loss_and_gradients(network, parameters, *batch)
    sizes = [np.linalg.norm(layer["kernel"]) for layer in gradients[:-1] if "kernel" in layer]
    trainer = Trainer(network, parameters, SGD(LEARNING_RATE), digits.x_train, digits.labels_train)
    order = np.random.default_rng(1).integers(0, len(digits.x_train), STEPS * BATCH)
    # where gradients explode, numbers overflow
    with np.errstate(over="ignore", invalid="ignore"):
        losses, _ = trainer.train_epoch(order, BATCH)
    finite = np.isfinite(losses)
    return sizes, losses if finite.all() else losses[: np.argmin(finite)]


def figure(found):
    figure, axes = plt.subplots(2, len(BETWEEN), figsize=(7.5, 4.3), sharex="row", sharey="row")
    for column, (name, by_scale) in enumerate(found.items()):
        for index, (scale, (sizes, losses)) in enumerate(by_scale.items()):
            axes[0, column].semilogy(range(LAYERS), sizes, f"C{index}", label=f"s = {scale}")
            axes[1, column].plot(losses, f"C{index}", linewidth=1.2)
            if len(losses) < STEPS:
                words = f"s = {scale}: overflow in step {len(losses) + 1}"
                axes[1, column].text(0, 2.8, words, color=f"C{index}", fontsize=8)
        axes[0, column].set(title=name, xlabel="layer", xticks=range(0, LAYERS, 5))
        axes[1, column].set(xlabel="step", xlim=(-5, STEPS), ylim=(0, 3))
    axes[0, 0].set_ylabel("norm of dkernel")
    axes[1, 0].set_ylabel("loss")
    axes[0, 1].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    found = {name: {scale: run(between, scale) for scale in SCALES} for name, between in BETWEEN.items()}
    style.draw("normalization", lambda: figure(found))
