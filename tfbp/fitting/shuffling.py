"""In which order the rows of an epoch are taken: by a seed, the epoch's number, and how often it was trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.fitting.keras_internals import get_random_seed


class Shuffling:
    """The seed and the counts that determine the order of a model's epochs.

    Attributes:
        seed: of all of them.
        times: how often an epoch of each number was begun, over all fits.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.times: dict[int, int] = {}

    def begin(self, epoch: int) -> None:
        """Count an epoch that begins."""
        self.times[epoch] = self.times.get(epoch, 0) + 1


def shuffling_of(model: Any, seed: int | None = None) -> Shuffling:
    """The `Shuffling` of a model; its seed is `seed`, that of `keras.utils.set_random_seed`, or drawn once."""
    known = getattr(model, "_tfbp_shuffling", None)
    if seed is None:
        seed = get_random_seed()
    if known is None or seed not in (None, known.seed):
        drawn = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        known = model._tfbp_shuffling = Shuffling(drawn)
    return known


def order_of(seed: int, epoch: int, rows: int, time: int = 0) -> np.ndarray:
    """The rows in the order in which an epoch takes them; it follows from the numbers alone.

    Args:
        time: how often a model has trained an epoch of this number before: fit(epochs=1) in a loop shuffles again.

    Example:
        >>> order_of(0, 0, 5).tolist(), order_of(0, 0, 5, time=1).tolist()
        ([2, 4, 3, 0, 1], [1, 3, 4, 2, 0])
    """
    return np.random.default_rng([seed, epoch, time] if time else [seed, epoch]).permutation(rows)
