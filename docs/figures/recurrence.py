"""recurrence: the loss's gradient by x of each step, and the loss while training, for three ways to carry a state."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import LSTM, Dense, Network, SimpleRNN, reference
from tfbp.reference.optimizers import Adam
from tfbp.reference.trainer import Trainer

STEPS, INPUTS, UNITS, BATCH, BATCHES, SEEDS = 100, 2, 16, 32, 300, range(3)
# the layer, and where the bias of f starts
LAYERS = {
    "SimpleRNN": (SimpleRNN(UNITS), None),
    "LSTM, bias of f 1": (LSTM(UNITS), 1.0),
    "LSTM, bias of f 3": (LSTM(UNITS), 3.0),
}


def sequences(count, seed):
    """Returns sequences and labels: the first step is 1 or -1, as the label, and all later steps are noise."""
    rng = np.random.default_rng(seed)
    x, labels = 0.5 * rng.normal(size=(count, STEPS, INPUTS)), rng.integers(0, 2, count)
    x[:, 0] = np.stack([2 * labels - 1, 0 * labels], axis=1)
    return x, labels


def start(layer, bias_of_f, seed):
    network = Network((STEPS, INPUTS), [layer, Dense(2)], "sparse_categorical_crossentropy")
    parameters = network.init(seed)
    if bias_of_f is not None:
        parameters[0]["bias"][UNITS : 2 * UNITS] = bias_of_f
    return network, parameters


def sizes(network, parameters):
    """Returns the norm of dx of each step, the last one first."""
    _, _, tensors = reference.loss_gradients_and_tensors(network, parameters, *sequences(256, seed=0))
    return np.linalg.norm(tensors[0]["dx"], axis=(0, 2))[::-1]


def losses(network, parameters):
    """Returns the loss of each batch, all of them new."""
    x, labels = sequences(BATCH * BATCHES, seed=1)
    trainer = Trainer(network, parameters, Adam(0.003), x, labels)
    return trainer.train_epoch(np.arange(len(x)), BATCH)[0]


def run():
    found = {}
    for name, (layer, bias_of_f) in LAYERS.items():
        starts = [start(layer, bias_of_f, seed) for seed in SEEDS]
        found[name] = sizes(*starts[0]), [losses(*each) for each in starts]
        for each in found[name][1]:
            # of 25 batches each
            print(name, each.reshape(-1, 25).mean(axis=1).round(2))
        print(name, found[name][0][::11])
    return found


def figure(found):
    figure, (size, loss) = plt.subplots(1, 2, figsize=(7.5, 3))
    for index, (name, (by_distance, runs)) in enumerate(found.items()):
        size.semilogy(by_distance, f"C{index}", label=name)
        for each in runs:
            # a batch alone is noisy
            loss.plot(np.arange(10, BATCHES + 1, 10), each.reshape(-1, 10).mean(axis=1), f"C{index}", linewidth=1)
    size.set(title="before training", xlabel="steps before the last", ylabel="norm of dx of a step")
    size.legend(fontsize=8)
    loss.set(title="training, from three seeds", xlabel="step of training", ylabel="loss", ylim=(0, 1))
    return figure


if __name__ == "__main__":
    found = run()
    style.draw("recurrence", lambda: figure(found))
