"""dropout: training and validation loss, with dropout and without, on few samples."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import Dense, Dropout, Network, datasets, reference
from tfbp.reference.optimizers import Adam
from tfbp.reference.trainer import Trainer


def some_digits():
    """Returns 300 digits, every fifth of which has a label that is drawn at random."""
    digits = datasets.load("digits", "float64")
    rng = np.random.default_rng(0)
    labels = digits.labels_train[:300].copy()
    drawn = rng.random(300) < 0.2
    labels[drawn] = rng.integers(0, 10, drawn.sum())
    return (digits.x_train[:300], labels), (digits.x_validation, digits.labels_validation)


def some_clothes():
    clothes = datasets.load("fashion_mnist", "float64")
    return [
        (x[:count], labels[:count])
        for x, labels, count in (
            (clothes.x_train, clothes.labels_train, 1000),
            (clothes.x_validation, clothes.labels_validation, 2000),
        )
    ]


# samples, units of both hidden layers, learning rate, epochs
RUNS = {
    "300 digits, a fifth of the labels random": (some_digits, 64, 0.003, 130),
    "1,000 samples of Fashion-MNIST": (some_clothes, 128, 0.002, 40),
}


def losses(samples, units, learning_rate, epochs, rate):
    """Returns training and validation loss at the start and after each epoch, nothing dropped."""
    training, validation = samples
    hidden = [Dense(units, "relu"), Dropout(rate)] * 2
    network = Network(training[0].shape[1], [*hidden, Dense(10)], "sparse_categorical_crossentropy")
    trainer = Trainer(network, network.init(seed=0), Adam(learning_rate), *training)
    found = []
    for epoch in range(epochs + 1):
        parameters = trainer.parameters()
        found.append([reference.loss_and_outputs(network, parameters, *each)[0] for each in (training, validation)])
        trainer.train_epoch(np.random.default_rng(epoch).permutation(len(training[0])), 100)
    return np.array(found)


def figure(found):
    figure, axes = plt.subplots(1, len(RUNS), figsize=(7.5, 2.9), sharey=True)
    for axis, (title, by_rate) in zip(axes, found.items(), strict=True):
        for index, (rate, curves) in enumerate(by_rate.items()):
            name = f"rate {rate}" if rate else "without"
            axis.plot(curves[:, 1], f"C{index}", label=f"{name}, validation")
            axis.plot(curves[:, 0], f"C{index}--", linewidth=1, label=f"{name}, training")
        axis.set(title=title, xlabel="epoch", ylim=(0, 2.4), xlim=(0, None))
    axes[0].set_ylabel("loss")
    axes[1].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    found = {
        title: {rate: losses(make(), *options, rate) for rate in (0.0, 0.5)} for title, (make, *options) in RUNS.items()
    }
    style.draw("dropout", lambda: figure(found))
