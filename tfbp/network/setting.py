"""The harness's test of a kind of layer: a network around it, as data, beside the kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfbp.vocabulary import L1L2

LABELS = "sparse_categorical_crossentropy"
# what a penalised weight of a case has
PENALTY = L1L2(l1=0.01, l2=0.02)


@dataclass(frozen=True)
class Setting:
    """A network that a kind of layer is tried in, and how.

    Args:
        name: readable, and of no other case; the random numbers follow from it.
        inputs, layers, loss: the network's.
        batch: how many examples.
        any_targets: whether the targets of a row may sum to anything, also of a cross-entropy.
        training: whether the pass is one of training.
        weighs_examples: whether sample weights are those of whole examples, where tokens have losses of their own.

    Example:
        >>> from tfbp.network import Dense
        >>> Setting("dense-B8-I4-O3", 4, [Dense(3)], 8).loss
        'sparse_categorical_crossentropy'
    """

    name: str
    inputs: Any
    layers: Any
    batch: int
    loss: Any = LABELS
    any_targets: bool = False
    training: bool = True
    weighs_examples: bool = False
