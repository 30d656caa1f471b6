"""xor, circles, spirals: what `scripts/train.py --picture` shows, on light paper and on dark."""

import numpy as np
import style  # first, for it knows where the scripts are
from matplotlib import pyplot as plt

import pictures
from tfbp import Dense, Network, datasets
from tfbp.training import Trainer, keras_optimizer

RUNS = {"xor": ([8], "tanh", 30), "circles": ([8], "tanh", 30), "spirals": ([32, 32], "relu", 60)}


def history(name):
    units, activation, epochs = RUNS[name]
    data = datasets.load(name)
    network = Network(2, [*(Dense(each, activation) for each in units), Dense(2)], "sparse_categorical_crossentropy")
    optimizer = keras_optimizer("adam", 0.02)
    trainer = Trainer(network, network.init(seed=0), "manual", optimizer, data.x_train, data.labels_train)
    generator = np.random.default_rng(0)
    frames = []
    for epoch in range(epochs):
        trainer.train_epoch(generator.permutation(len(data.x_train)), batch_size=32)
        frames.append(pictures.Frame(network, data.x_train, data.labels_train, trainer.parameters(), epoch + 1))
    return data, frames


if __name__ == "__main__":
    for name in RUNS:
        data, frames = history(name)
        for suffix, rc in style.rcs().items():
            paper = {"figure.facecolor": style.STYLES[suffix][2], "savefig.transparent": False}
            with plt.rc_context({**rc, **paper, "figure.constrained_layout.use": False}):
                pictures.save_gif(style.PICTURES / f"{name}{suffix}.gif", frames, data)
