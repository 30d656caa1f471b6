"""The layers that are timed: by name, a model's layers from a room, `tfbp.layers` or Keras's."""

from __future__ import annotations

from functools import partial
from typing import Any

WIDTH = 256
# an activation layer is between two Dense layers of Keras's, for both
LAYERS = {
    "Dense": lambda room: [room.Dense(WIDTH), room.Dense(WIDTH), room.Dense(10)],
    "Dense relu": lambda room: [room.Dense(WIDTH, "relu"), room.Dense(WIDTH, "relu"), room.Dense(10)],
    "Dense gelu": lambda room: [room.Dense(WIDTH, "gelu"), room.Dense(WIDTH, "gelu"), room.Dense(10)],
    "small Dense": lambda room: [room.Dense(8, "tanh"), room.Dense(10)],
    "tanh": lambda room: between(room.Activation("tanh")),
    "ReLU": lambda room: between(room.ReLU()),
    "bounded ReLU": lambda room: between(room.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.1)),
    "LeakyReLU": lambda room: between(room.LeakyReLU()),
    "ELU": lambda room: between(room.ELU()),
    "PReLU": lambda room: between(room.PReLU()),
    "Softmax": lambda room: between(room.Softmax()),
    # other activations with a derivative that is one operation of TensorFlow
    **{
        name: partial(lambda name, room: between(room.Activation(name)), name)
        for name in ("sigmoid", "softsign", "selu", "relu6", "hard_sigmoid", "hard_silu")
    },
    "BatchNormalization": lambda room: between(room.BatchNormalization()),
    "LayerNormalization": lambda room: between(room.LayerNormalization()),
    "RMSNormalization": lambda room: between(room.RMSNormalization()),
    "GroupNormalization": lambda room: on_images(room.GroupNormalization(4)),
    "Dropout": lambda room: between(room.Dropout(0.5, seed=1)),
    "Conv2D": lambda room: on_images(room.Conv2D(16, 3, activation="relu")),
    "DepthwiseConv2D": lambda room: on_images(room.DepthwiseConv2D(3)),
    "MaxPooling2D": lambda room: on_images(room.MaxPooling2D()),
    "AveragePooling2D": lambda room: on_images(room.AveragePooling2D(2)),
    "GlobalMaxPooling2D": lambda room: on_images(room.GlobalMaxPooling2D()),
    "GlobalAveragePooling2D": lambda room: on_images(room.GlobalAveragePooling2D()),
}


def between(layer: Any) -> list[Any]:
    import keras

    return [keras.layers.Dense(WIDTH), layer, keras.layers.Dense(10)]


def on_images(layer: Any) -> list[Any]:
    """On images of 8 × 8 with 16 channels, for both."""
    import keras

    made = [keras.layers.Dense(1024), keras.layers.Reshape((8, 8, 16)), layer]
    return [*made, keras.layers.Flatten(), keras.layers.Dense(10)]
