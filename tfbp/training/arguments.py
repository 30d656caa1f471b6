"""What Keras's compile, fit and evaluate may be given in several forms."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from tfbp.errors import InputError


def by_name(method: Any, positional: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """All arguments after x and y by the names that Keras's method has for them."""
    names = list(inspect.signature(method).parameters)[3:]
    if len(positional) > len(names):
        raise TypeError(f"{method.__name__}() takes {len(names) + 2} arguments, got {len(positional) + 2}")
    given = dict(zip(names, positional, strict=False))
    if twice := given.keys() & options.keys():
        raise TypeError(f"{method.__name__}() got multiple values for argument {min(twice)!r}")
    return {**given, **options}


def loss_weight_of(given: Any) -> float | None:
    """Keras's loss_weights, of a model with one loss."""
    values = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list | tuple) else [given]
    if len(values) != 1 or not (values[0] is None or isinstance(values[0], int | float | np.number)):
        raise InputError(f"loss_weights: got {given!r}; accepted: one number, for the model has one loss.")
    return None if values[0] is None else float(values[0])
