"""Records a layer's random numbers in training once, and replays them in every dtype and mode.

Every random function of Keras calls one of its backend's; while this is open, it calls ours. A dropout is recorded as
its mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError

_BACKEND: Any = keras.src.backend.random
_DRAWN = ("normal", "uniform", "truncated_normal", "gamma", "beta", "binomial", "categorical", "randint")


class Draws:
    """The numbers that one call drew, in their order."""

    def __init__(self) -> None:
        self.numbers: list[np.ndarray] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Records what is drawn while open."""
        self.numbers = []

        def record(make: Callable[..., Any], *given: Any, **options: Any) -> Any:
            drawn = make(*given, **options)
            if not hasattr(drawn, "numpy"):
                raise InputError("model: got a layer that draws inside a loop; accepted: draws that can be recorded.")
            self.numbers.append(drawn.numpy())
            return drawn

        def dropout(make: Callable[..., Any], inputs: Any, rate: float, *given: Any, **options: Any) -> Any:
            if not 0 < rate < 1:
                return make(inputs, rate, *given, **options)
            stays = record(make, tf.ones_like(inputs), rate, *given, **options)
            self.numbers[-1] = self.numbers[-1] != 0
            return _dropped(inputs, rate, stays != 0)

        with _instead(record, dropout):
            yield

    @contextmanager
    def given(self) -> Iterator[None]:
        """Replays the recorded numbers while open."""
        left = iter(self.numbers)

        def again(make: Callable[..., Any], *given: Any, **options: Any) -> Any:
            number = next(left)
            dtype = options.get("dtype")
            return tf.constant(number, number.dtype if dtype is None else keras.backend.standardize_dtype(dtype))

        def dropout(make: Callable[..., Any], inputs: Any, rate: float, *given: Any, **options: Any) -> Any:
            if not 0 < rate < 1:
                return make(inputs, rate, *given, **options)
            return _dropped(inputs, rate, tf.constant(next(left)))

        with _instead(again, dropout):
            yield


def _dropped(inputs: Any, rate: float, stays: Any) -> Any:
    """Computes as TensorFlow's own dropout does: divided by the kept share, 0 where nothing is kept."""
    return tf.where(stays, inputs * tf.constant(1 / (1 - rate), inputs.dtype), tf.zeros_like(inputs))


@contextmanager
def _instead(drawn: Callable[..., Any], dropout: Callable[..., Any]) -> Iterator[None]:
    before = {name: getattr(_BACKEND, name) for name in (*_DRAWN, "dropout")}

    def made(name: str, original: Any) -> Any:
        ours = dropout if name == "dropout" else drawn
        return lambda *given, **options: ours(original, *given, **options)

    try:
        for name, original in before.items():
            setattr(_BACKEND, name, made(name, original))
        yield
    finally:
        for name, original in before.items():
            setattr(_BACKEND, name, original)
