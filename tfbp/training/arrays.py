"""The arrays that fit and evaluate are given: checked, split, weighted.

N samples; every function takes and returns (x, y) or (x, y, sample_weight).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfbp.checks import InputError, check_count, check_x, check_y

if TYPE_CHECKING:
    from tfbp.training.model import Model


def batch_size(argument: str, value: Any) -> int:
    if value is None:
        return 32
    check_count(argument, value)
    return value


def checked(model: Model, x: Any, y: Any, sample_weight: Any = None) -> tuple[np.ndarray, ...]:
    """The arrays, checked; x in the dtype that the model keeps its weights in."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim and y.ndim and len(x) != len(y):
        raise InputError(f"y: got {len(y)} rows; accepted: {len(x)}, as x.")
    check_x(model.network, x)
    check_y(model.network, x, y)
    x = x.astype(model.variable_dtype, copy=False) if x.dtype.kind == "f" else x
    if y.dtype.kind == "f":
        y = y.astype(model.variable_dtype, copy=False)
    if sample_weight is None:
        return x, y
    weight = np.asarray(sample_weight, model.variable_dtype)
    check_y(model.network, x, y, weight)
    return x, y, weight


def order_of(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The rows in the order in which an epoch takes them; it follows from the two numbers alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def split(arrays: tuple[np.ndarray, ...], share: float) -> Any:
    """Training arrays and validation arrays: the last `share` of the rows validates, as in Keras."""
    first = math.floor(len(arrays[0]) * (1 - share))
    if not 0 < first < len(arrays[0]):
        raise InputError(f"validation_split: got {share}; accepted: above 0 and below 1, leaving rows on both sides.")
    return tuple(array[:first] for array in arrays), tuple(array[first:] for array in arrays)


def weighted(arrays: tuple[np.ndarray, ...], class_weight: Any) -> tuple[np.ndarray, ...]:
    """The arrays with the weight of each sample's class as its sample weight."""
    if len(arrays) == 3:
        raise InputError("class_weight: got one beside sample_weight; accepted: one of the two.")
    x, y = arrays
    labels = y.argmax(axis=-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(int)
    weights = np.array([class_weight.get(label, 1.0) for label in labels.tolist()], x.dtype)
    return x, y, weights
