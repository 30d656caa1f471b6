"""Loads data for a network: images as rows of pixels between 0 and 1, and sets in the plane; integer labels.

Texts are in `tfbp.texts`.

N samples, I inputs (pixels, or two coordinates) of a sample.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfbp.errors import InputError, check_choice

IMAGES = ("digits", "fashion_mnist", "mnist", "cifar10")
PLANE = ("xor", "circles", "spirals")
DATASETS = (*IMAGES, *PLANE)  # the names for `load`; TEXT is `tfbp.texts.load`'s
TEXT = "text"


@dataclass(frozen=True)
class Dataset:
    """Training and validation samples: x (N, I) in [0, 1], or around [-1, 1] in the plane; labels (N,) from 0.

    Attributes:
        shape: the shape of an example: height, width and channels of an image, (2,) in the plane, (T,) of a text.
        characters: those of a text; its x and labels are indices into them. Empty for other data.
    """

    name: str
    x_train: np.ndarray
    labels_train: np.ndarray
    x_validation: np.ndarray
    labels_validation: np.ndarray
    shape: tuple[int, ...]
    characters: str = ""

    @property
    def inputs(self) -> int:
        return math.prod(self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        return len(self.characters) or int(self.labels_train.max()) + 1

    def shaped(self, shape: Sequence[int]) -> Dataset:
        """Returns the same samples, each as an array of that shape.

        Raises:
            InputError: a shape of more or fewer numbers.

        Example:
            >>> digits = load("digits")
            >>> digits.shaped(digits.shape).x_train.shape
            (1438, 8, 8, 1)
        """
        if math.prod(shape) != self.inputs:
            raise InputError(f"shape: got {tuple(shape)}; accepted: one of {self.inputs} numbers, as {self.shape}.")
        x_train, x_validation = (x.reshape(len(x), *shape) for x in (self.x_train, self.x_validation))
        return replace(self, x_train=x_train, x_validation=x_validation)


def load(name: str, dtype: str = "float32") -> Dataset:
    """Returns a data set by name; pixels are divided by their maximum in `dtype`.

    Args:
        name: "digits" (1,797 samples of 64 pixels, in scikit-learn's wheel; every fifth one validates), or
            "fashion_mnist", "mnist", "cifar10" through `keras.datasets`, which downloads them once; or, in the plane,
            "xor", "circles", "spirals": two classes that no straight line divides, the same 600 samples each time.
        dtype: "float32" or "float64".

    Raises:
        InputError: an unknown name, or a failed download.

    Example:
        >>> digits = load("digits")
        >>> digits.x_train.shape, digits.x_validation.shape, digits.shape, digits.classes
        ((1438, 64), (359, 64), (8, 8, 1), 10)
    """
    check_choice("dataset", name, DATASETS)
    if name in PLANE:
        x, labels = _in_the_plane(name)
        validates = np.arange(len(labels)) % 3 == 2
        x = x.astype(dtype)
        return Dataset(name, x[~validates], labels[~validates], x[validates], labels[validates], (2,))
    (x_train, labels_train), (x_validation, labels_validation) = _digits() if name == "digits" else _from_keras(name)
    maximum = 16 if name == "digits" else 255
    return Dataset(
        name,
        _unit_rows(x_train, maximum, dtype),
        labels_train.reshape(-1).astype(np.int64),
        _unit_rows(x_validation, maximum, dtype),
        labels_validation.reshape(-1).astype(np.int64),
        # gray images have no axis for their one channel
        x_train.shape[1:] if x_train.ndim == 4 else (*x_train.shape[1:], 1),
    )


def _in_the_plane(name):
    """Returns 600 samples of two classes: x (600, 2) and labels (600,)."""
    generator = np.random.default_rng(0)
    labels = np.arange(600) // 3 % 2
    along, noise = generator.uniform(size=600), generator.normal(size=(600, 2))
    if name == "xor":
        x = generator.uniform(0.08, 1, size=(600, 2)) * generator.choice([-1, 1], size=(600, 2))
        return x, (x[:, 0] * x[:, 1] < 0).astype(np.int64)
    if name == "circles":
        radius, angle, width = np.where(labels == 0, 0.35, 0.85), 2 * np.pi * along, 0.07
    else:
        # one and a half turns, the second arm opposite to the first
        radius, angle, width = 0.1 + 0.9 * along, 3 * np.pi * along + np.pi * labels, 0.025
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + width * noise
    return x, labels.astype(np.int64)


def _digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels, labels = found.images, found.target
    validates = np.arange(len(labels)) % 5 == 4
    return (pixels[~validates], labels[~validates]), (pixels[validates], labels[validates])


def _from_keras(name):
    import keras

    try:
        return getattr(keras.datasets, name).load_data()
    # keras raises a bare Exception where a download fails, and EOFError, OSError … for an incomplete file
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        place = os.path.join(os.environ.get("KERAS_HOME", "~/.keras"), "datasets")
        raise InputError(
            f"dataset: got {name!r}, which is not available ({reason}); accepted: a set that is whole in {place} "
            "or can be downloaded, or 'digits', which needs no download."
        ) from error


def _unit_rows(pixels, maximum, dtype):
    return pixels.reshape(len(pixels), -1).astype(dtype) / np.asarray(maximum, dtype)
