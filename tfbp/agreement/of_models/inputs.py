"""Reads a batch: arrays of the model's inputs, in its order, and targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfbp.agreement.of_models.opened import Opened
from tfbp.errors import InputError
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, attempt


def array_of(argument: str, given: Any) -> np.ndarray:
    """Returns an array of finite numbers: floats in float64, integers and booleans as they are.

    Raises:
        InputError: rows of several lengths, something else than numbers, a NaN or an infinity.
    """
    array = attempt(np.asarray, given)
    if isinstance(array, Failure) or array.dtype.name == "object":
        raise InputError(f"{argument}: got {type(given).__name__} {given!r}; accepted: an array of numbers.")
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise InputError(f"{argument}: got dtype {array.dtype}; accepted: arrays of numbers.")
    if array.dtype.kind in "iub":
        return array
    if not np.isfinite(array := as_float64(array)).all():
        raise InputError(f"{argument}: got a NaN or an infinity; accepted: finite numbers.")
    return array


def arrays_of(model: Any, x: Any) -> list[np.ndarray]:
    """Returns the inputs, flat, in the model's order: floats in float64, integers in int32."""
    if isinstance(x, dict):
        names = [tensor.name for tensor in getattr(model, "inputs", None) or []]
        if set(x) != set(names):
            accepted = f"one for each of {', '.join(names)}" if names else "an array, or a list of several"
            raise InputError(f"x: got {sorted(x)}; accepted: {accepted}.")
        x = [x[name] for name in names]
    several = isinstance(x, list | tuple) and not all(isinstance(tensor, int | float) for tensor in x)
    arrays: list[np.ndarray] = []
    for each in x if several else [x]:
        array = array_of("x", each)
        if not array.ndim or not len(array) or (arrays and len(array) != len(arrays[0])):
            accepted = f"{len(arrays[0])} rows, as the first has" if arrays else "one row or more"
            raise InputError(f"x: got shape {array.shape}; accepted: {accepted}.")
        arrays.append(array.astype(np.int32) if array.dtype.kind in "iu" else array)
    return arrays


def check_shapes(model: Opened, arrays: Sequence[np.ndarray]) -> None:
    """Raises `InputError` where an array does not have its input's shape; converts to floats for an input of floats."""
    graph = getattr(model.model, "_functional", model.model)
    for i, (tensor, array) in enumerate(zip(getattr(graph, "inputs", None) or [], arrays, strict=False)):
        sizes = zip(tensor.shape[1:], array.shape[1:], strict=False)
        if len(tensor.shape) != array.ndim or any(a is not None and a != b for a, b in sizes):
            raise InputError(f"x: got shape {array.shape} for {tensor.name!r}; accepted: {tuple(tensor.shape)}.")
        if keras.backend.is_float_dtype(tensor.dtype) and array.dtype.kind != "f":
            arrays[i] = array.astype(np.float64)  # type: ignore[index]
        if not keras.backend.is_float_dtype(tensor.dtype) and array.dtype.kind == "f":
            if (array != np.round(array)).any():
                raise InputError(f"x: got fractions for {tensor.name!r}; accepted: integers.")
            arrays[i] = array.astype(np.int32)  # type: ignore[index]
