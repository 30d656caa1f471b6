"""The common part of the layer races: value and all gradients of a layer as one call, and calls that take turns."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

MODES = {"tf.function": False, "XLA": True}
Call = Callable[[], list[np.ndarray]]


def by_keras(layer: Any, value: Callable[[Any], Any], x: Any, dy: Any, jit_compile: bool) -> Call:
    """Returns y = value(x), dx and the gradients of the layer's weights."""

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(x: tf.Tensor, dy: tf.Tensor) -> list[tf.Tensor]:
        variables = [w.value for w in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = value(x)
        return [y, *tape.gradient(y, [x, *variables], output_gradients=dy)]

    return lambda: [tensor.numpy() for tensor in step(x, dy)]


def in_turns(calls: dict[str, Call], pairs: int, seconds: float) -> dict[str, list[float]]:
    """Returns the milliseconds of a call, by contestant and round; for a short call, the fastest of several."""
    of_a_turn = max(1, round(seconds / timed(calls["keras"])))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(pairs):
        for name in calls if turn % 2 else reversed(calls):
            times[name].append(1e3 * min(timed(calls[name]) for _ in range(of_a_turn)))
    return times


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
