"""Boolean functions learned by backpropagation from many random starts, instead of built."""

from __future__ import annotations

import numpy as np

from tfbp.expressive.boolean import truth_rows
from tfbp.expressive.many import repeated_starts, train_many
from tfbp.network import Dense, Network

STEPS = 2000
LEARNING_RATE = 0.5


def learn(tables: np.ndarray, units: int, seeds: int, steps: int = STEPS) -> np.ndarray:
    """Returns whether each function is learned from each start, (F, seeds): right at every input, rounded to 0 or 1.

    A hidden layer of tanh and a sigmoid output, under cross-entropy; all functions and starts train as one program.

    Args:
        tables: truth tables, (F, 2^n).
        units: hidden units.
        seeds: the number of starts for each function; the same ones.
        steps: the number of steps of gradient descent with momentum 0.9 on all 2^n rows.

    Example:
        >>> learn(np.array([[0, 0, 0, 1]]), units=2, seeds=3, steps=300).all(axis=1).tolist()
        [True]
    """
    tables = np.asarray(tables)
    x = truth_rows(tables.shape[1].bit_length() - 1).astype(np.float32)
    network = Network(x.shape[1], [Dense(units, "tanh"), Dense(1, "sigmoid")], "binary_crossentropy")
    starts = repeated_starts(network, seeds, times=len(tables))
    y = np.repeat(tables.astype(np.float32), seeds, axis=0)[:, :, None]
    outputs, _ = train_many(network, starts, x, y, steps=steps, learning_rate=LEARNING_RATE)
    right = ((outputs > 0.5) == (y > 0.5)).all(axis=(1, 2))
    return right.reshape(len(tables), seeds)
