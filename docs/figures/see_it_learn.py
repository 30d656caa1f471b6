"""xor, circles, spirals: what `tfbp train --picture` shows, on light paper and on dark."""

import style  # isort: skip  first, because it imports TensorFlow quietly
import keras
from matplotlib import pyplot as plt

from tfbp import Dense, Model, Network, datasets
from tfbp.commands import pictures
from tfbp.training import keras_optimizer

RUNS = {"xor": ([8], "tanh", 30), "circles": ([8], "tanh", 30), "spirals": ([32, 32], "relu", 60)}


def history(name):
    units, activation, epochs = RUNS[name]
    data = datasets.load(name)
    network = Network(2, [*(Dense(each, activation) for each in units), Dense(2)], "sparse_categorical_crossentropy")
    model, frames = Model(network, seed=0), []
    model.compile(keras_optimizer("adam", 0.02))

    class Frames(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            parameters = self.model.get_parameters()
            frames.append(pictures.Frame(network, data.x_train, data.labels_train, parameters, epoch + 1))

    model.fit(data.x_train, data.labels_train, batch_size=32, epochs=epochs, verbose=0, callbacks=[Frames()])
    return data, frames


if __name__ == "__main__":
    for name in RUNS:
        data, frames = history(name)
        for suffix, rc in style.rcs().items():
            paper = {"figure.facecolor": style.STYLES[suffix][2], "savefig.transparent": False}
            with plt.rc_context({**rc, **paper, "figure.constrained_layout.use": False}):
                pictures.save_gif(style.PICTURES / f"{name}{suffix}.gif", frames, data)
