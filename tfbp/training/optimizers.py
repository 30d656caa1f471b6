"""Keras optimizers by the names that the scripts take."""

from __future__ import annotations

import keras

from tfbp.errors import check_choice, check_positive
from tfbp.vocabulary import OPTIMIZERS as OPTIMIZERS


def keras_optimizer(name: str, learning_rate: float | None = None) -> keras.Optimizer:
    """SGD, SGD with momentum 0.9, or Adam.

    Raises:
        InputError: an unknown name, or a learning rate that is not above 0.

    Example:
        >>> keras_optimizer("momentum").momentum
        0.9
    """
    check_choice("optimizer", name, OPTIMIZERS)
    rate = OPTIMIZERS[name] if learning_rate is None else learning_rate
    check_positive("learning_rate", rate)
    if name == "adam":
        return keras.optimizers.Adam(rate)
    return keras.optimizers.SGD(rate, momentum={"sgd": 0.0, "momentum": 0.9}[name])
