"""filters: a first convolution's kernels and their feature maps on Fashion-MNIST, before training and after."""

import style  # isort: skip  first, because it imports TensorFlow quietly
import keras
import numpy as np
from matplotlib import pyplot as plt

from tfbp import Conv2D, Dense, Flatten, MaxPooling2D, Model, Network, datasets, reference

FILTERS, EPOCHS = 8, 3


def run():
    """Returns a picture, and the kernels (5, 5, O) and feature maps (24, 24, O) before training and after."""
    clothes = datasets.load("fashion_mnist")
    x, x_validation = (each.reshape(-1, 28, 28, 1) for each in (clothes.x_train, clothes.x_validation))
    layers = [
        Conv2D(FILTERS, 5, activation="relu"),
        MaxPooling2D(2),
        Conv2D(16, 3, activation="relu"),
        MaxPooling2D(2),
        Flatten(),
        Dense(10),
    ]
    model = Model(Network((28, 28, 1), layers, "sparse_categorical_crossentropy"), seed=0)
    model.compile(keras.optimizers.Adam(0.002), metrics=["accuracy"])
    picture, found = x_validation[:1], []
    for epochs in (0, EPOCHS):
        if epochs:
            model.fit(x, clothes.labels_train, batch_size=64, epochs=epochs, verbose=0)
            print(model.evaluate(x_validation, clothes.labels_validation, verbose=0))
        first = model.get_parameters()[0]
        z, _ = reference.convolution.conv2d_forward(picture, first["kernel"], first["bias"])
        found.append((first["kernel"][:, :, 0], np.maximum(z, 0)[0]))
    return picture[0, :, :, 0], found


def figure(picture, found):
    figure = plt.figure(figsize=(7.5, 3.5))
    left, right = figure.subfigures(1, 2, width_ratios=(1, 6))
    axis = left.subplots()
    axis.imshow(picture, cmap="gray", interpolation="none")
    axis.axis("off")
    axes = right.subplots(4, FILTERS)
    for row, (title, (kernels, maps)) in enumerate(zip(("before", "after"), found, strict=True)):
        for filter in range(FILTERS):
            kernel, seen = axes[2 * row : 2 * row + 2, filter]
            weights, seen_there = kernels[:, :, filter], maps[:, :, filter]
            # 0 is white, and each kernel's largest weight as dark as another's
            largest = np.abs(weights).max()
            kernel.imshow(weights, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="none")
            seen.imshow(seen_there, cmap="gray", vmin=0, interpolation="none")
            for each in (kernel, seen):
                each.set(xticks=[], yticks=[])
                each.spines[:].set_visible(False)
        axes[2 * row, 0].set_ylabel(title)
    return figure


if __name__ == "__main__":
    results = run()
    style.draw("filters", lambda: figure(*results))
