"""A test of one kind of layer: a network around it, as data, in the kind's module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfbp.vocabulary import L1L2

LABELS = "sparse_categorical_crossentropy"
# the penalty of a case's penalized weight
PENALTY = L1L2(l1=0.01, l2=0.02)


@dataclass(frozen=True)
class Setting:
    """A network around a kind of layer, and the way to run it.

    Args:
        name: readable and unique; the seed of the random numbers follows from it.
        inputs, layers, loss: the arguments of the network.
        batch: the number of examples.
        any_targets: whether the targets of a row may have any sum, also under a cross-entropy.
        training: whether the pass is a training pass.
        weighs_examples: whether sample weights belong to whole examples, where tokens have their own losses.
        loss_masks, loss_weights: as the network's.

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
    loss_masks: Any = None
    loss_weights: Any = None
