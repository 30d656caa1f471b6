"""The way to compute the examples' gradients of a model. B examples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tfbp.privacy.recording import all_layers

BY_HAND, BY_TAPE = "by hand", "by tape"
# bytes of the gradients of a chunk of examples, by tape
CHUNK_BYTES = 256 * 2**20


@dataclass
class Way:
    """The way to compute the examples' gradients of a model.

    Attributes:
        layers: the way of each layer with trainable weights, by its path.
        reason: the cause why none goes by hand; empty where they do.
        losses: how a batch's loss follows from its examples': "mean", "sum", or "each" where it is neither, for example
            because a mask counts over the whole batch.
        is_weighted: whether the loss takes a weight for each example.
        most: rows of the largest batch, where it is cut.
        draws: the names of the layers that draw random numbers in training.
        in_turn: whether examples go by tape one after the other: TensorFlow cannot run them all in parallel.
    """

    layers: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    losses: str = "mean"
    is_weighted: bool = True
    draws: list[str] = field(default_factory=list)
    in_turn: bool = False
    most: int | None = None

    @property
    def is_by_hand(self) -> bool:
        return not self.reason


def layers_with_weights(model: Any) -> list[str]:
    """Returns the paths of the layers with trainable weights."""
    trained = {id(variable) for variable in model.trainable_variables}
    return [
        layer.path
        for layer in all_layers(model)
        if any(id(variable) in trained for variable in layer._trainable_variables)
    ]


def rows_a_chunk(model: Any, way: Way, most: int) -> int:
    """Returns the number of examples in parallel: by tape their gradients are in memory, at most CHUNK_BYTES."""
    return most if way.is_by_hand else min(most, rows_in_parallel(model))


def rows_in_parallel(model: Any) -> int:
    """Returns the number of examples whose gradients take CHUNK_BYTES, at least 1."""
    bytes_an_example = sum(8 * math.prod(variable.shape) for variable in model.trainable_variables)
    return max(1, CHUNK_BYTES // max(1, bytes_an_example))
