"""Random data for the models of `fit_models` and `fit_torch`, by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BATCH = 32
# the name of a race by the model's own train_step, with nothing around it
ALONE = "train_step alone"
# and tfbp.fit of the model with tfbp's layers in it
SWAPPED = "tfbp.fit, swapped"
CLASSES = 10


def floats(*shape: int) -> Callable[[int], np.ndarray]:
    return lambda rows: np.random.default_rng(0).normal(size=(rows, *shape)).astype("float32")


def tokens(length: int) -> Callable[[int], np.ndarray]:
    return lambda rows: np.random.default_rng(0).integers(0, 1000, (rows, length)).astype("int32")


# by the model's name: its inputs for so many rows, and its targets: "labels", "inputs" or "none"
DATA: dict[str, tuple[Callable[[int], np.ndarray], str]] = {
    "tabular": (floats(64), "labels"),
    "wide-and-deep": (floats(64), "labels"),
    "text": (tokens(100), "labels"),
    "lstm": (floats(20, 8), "labels"),
    "gru": (floats(20, 8), "labels"),
    "bidirectional": (floats(20, 8), "labels"),
    "conv1d": (floats(64, 8), "labels"),
    "cnn-8": (floats(8, 8, 1), "labels"),
    "cnn-28": (floats(28, 28, 1), "labels"),
    "cnn-32": (floats(32, 32, 3), "labels"),
    "autoencoder": (floats(784), "inputs"),
    "vae": (floats(784), "none"),
    "gan": (floats(64), "none"),
    "transformer": (tokens(64), "labels"),
    "mobilenet": (floats(32, 32, 3), "labels"),
}


def data(name: str, rows: int) -> tuple[np.ndarray, Any]:
    """Returns inputs and targets for a model."""
    inputs, targets = DATA[name]
    x = inputs(rows)
    return x, {"labels": np.arange(rows) % CLASSES, "inputs": x, "none": None}[targets]
