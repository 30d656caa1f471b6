"""Random numbers in XLA's programs for a CPU: each drawn once.

XLA makes a routine of every shape of random numbers, inlines those that are called at one place, and computes
inlined numbers again wherever they are used: a step with a single Dropout took 8 times as long as one with two
alike. So every routine is called at a second place, once a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

DRAWN = {
    "StatelessRandomNormalV2",
    "StatelessRandomUniformFullIntV2",
    "StatelessRandomUniformIntV2",
    "StatelessRandomUniformV2",
    "StatelessTruncatedNormalV2",
}


def second_place(graph: tf.Graph, batch_size: int, given: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """A number of every shape and kind that a step's graph draws, for a program to return beside its results.

    Args:
        graph: of one step; rows that it does not know are batch_size.
        given: the program's arguments, so that the numbers are no constants.
    """
    if tf.config.list_logical_devices("GPU"):
        return []
    drawn = {}
    for operation in graph.get_operations():
        shape = operation.outputs[0].shape if operation.type in DRAWN else tf.TensorShape(None)
        if shape.rank:
            known = (shape[0] or batch_size, *shape[1:])
            if None not in known:
                drawn[operation.type, known, operation.outputs[0].dtype] = operation
    key = tf.cast(tf.reshape(given[0], [-1])[:1], tf.uint64)
    return [_first_of(operation, shape, key) for (_, shape, _), operation in drawn.items()]


def _first_of(operation: tf.Operation, shape: Any, key: tf.Tensor) -> tf.Tensor:
    draw = getattr(tf.raw_ops, operation.type)
    options: dict[str, Any] = {"shape": shape, "key": key, "counter": tf.concat([key, key], 0)}
    options["alg"] = tf.get_static_value(operation.inputs[3])
    dtype = operation.outputs[0].dtype
    if operation.type == "StatelessRandomUniformIntV2":
        options |= {"minval": tf.zeros([], dtype), "maxval": tf.cast(7, dtype)}
    else:
        options["dtype"] = dtype
    return tf.reshape(draw(**options), [-1])[0]
