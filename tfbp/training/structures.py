"""The data of a `tfbp.Model` of several inputs or outputs: tuples in its network's order, from lists and dicts.

Where a network has one input, x stays what it is; the same goes for one output and y.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.network.validation import as_tuple


def names_of(argument: str, given: Any, count: int, prefix: str) -> list[str]:
    """Returns the names of the inputs or outputs, by default numbered ones.

    Raises:
        InputError: another number of names, or one name twice.
    """
    if given is None:
        return [f"{prefix}_{number}" for number in range(count)]
    if isinstance(given, str) or len(set(given)) != count or len(given) != count:
        raise InputError(f"{argument}: got {given!r}; accepted: {count} different names.")
    return list(map(str, given))


def inputs_of(model: Any, x: Any) -> Any:
    """Returns x in the network's order."""
    return _ordered("x", x, getattr(model, "input_names", None))


def outputs_of(model: Any, argument: str, given: Any) -> Any:
    """Returns y in the network's order."""
    return _ordered(argument, given, getattr(model, "output_names", None))


def weights_of(model: Any, given: Any, rows: Any) -> Any:
    """Returns sample weights in the network's order: one array is for every output, and None among several is ones.

    Args:
        rows: makes the weights of as many ones as a batch has rows.
    """
    names = getattr(model, "output_names", None)
    if names is None or given is None:
        return given
    if not keras.tree.is_nested(given):
        return (given,) * len(names)
    several = outputs_of(model, "sample_weight", given)
    return None if all(w is None for w in several) else tuple(rows() if w is None else w for w in several)


def batch_of(model: Any, data: Any) -> tuple[Any, Any, Any]:
    """Returns x, y and sample_weight of a batch in the network's order."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x, y = inputs_of(model, x), outputs_of(model, "y", y)
    return x, y, weights_of(model, sample_weight, lambda: tf.ones([rows_of(x)], model.variable_dtype))


def rows_of(x: Any) -> tf.Tensor:
    """Returns the number of rows of a batch."""
    return tf.shape(x[0] if isinstance(x, tuple) else x)[0]


def unflattened(model: Any, tensors: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Returns x, y and sample_weight, or None, from all of their tensors in a row."""
    inputs, outputs = len(model.network.input_shapes), len(model.network.losses)
    parts = [tuple(tensors[:inputs]), tuple(tensors[inputs : inputs + outputs]), tuple(tensors[inputs + outputs :])]
    x, y, weights = (part[0] if len(part) == 1 else part for part in parts)
    return x, y, weights if parts[2] else None


def loss_weights_of(given: Any, names: Sequence[str] | None) -> Any:
    """Returns Keras's loss_weights: a number, or a tuple of one for each of several outputs; None where there are none.

    Raises:
        InputError: other numbers than the model has losses.
    """
    if names is None:
        several = (
            [*given.values()] if isinstance(given, dict) else given if isinstance(given, list | tuple) else [given]
        )
        accepted, count = "one number, because the model has one loss", 1
    elif given is None:
        return None
    else:
        several = [given.get(name) for name in names] if isinstance(given, dict) and set(given) <= set(names) else given
        accepted, count = f"a number for each of {list(names)}, in a list or by name", len(names)
    numbers = isinstance(several, list | tuple) and all(
        w is None or isinstance(w, int | float | np.number) for w in several
    )
    if not numbers or len(several) != count:
        raise InputError(f"loss_weights: got {given!r}; accepted: {accepted}.")
    if names is None:
        return None if several[0] is None else float(several[0])
    return tuple(1.0 if w is None else float(w) for w in several)


def _ordered(argument: str, given: Any, names: Sequence[str] | None) -> Any:
    if names is None or given is None:
        return given
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise InputError(f"{argument}: got {sorted(given)}; accepted: {sorted(names)}.")
        return tuple(given[name] for name in names)
    return as_tuple(argument, given, len(names))
