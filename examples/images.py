"""Images: a small convolutional network, with random shifts and rotations as part of the model.

    python examples/images.py

Keras's layers of augmentation run in training only. The data are the 8×8 digits that come with scikit-learn.
"""

import keras

import tfbp
from tfbp import datasets


def model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            keras.layers.RandomRotation(0.03, fill_mode="constant"),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10),
        ]
    )


def main() -> float:
    """Train, and return the accuracy on images that the network has not seen."""
    keras.utils.set_random_seed(0)
    digits = datasets.load("digits")
    x, x_new = (rows.reshape(-1, 8, 8, 1) for rows in (digits.x_train, digits.x_validation))
    network = model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    tfbp.fit(network, x, digits.labels_train, epochs=10, verbose=0)
    _, accuracy = tfbp.evaluate(network, x_new, digits.labels_validation, verbose=0)
    print(f"accuracy on new images: {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
