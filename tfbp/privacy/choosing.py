"""Chooses the way for a model's examples, by hand or by tape, and checks that each has its own gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting.steps import unflattened
from tfbp.privacy import examples
from tfbp.privacy.keras_internals import get_keras_mask
from tfbp.privacy.recording import (
    NotRecorded,
    Unweighted,
    all_layers,
    cause_of,
    generators_of,
    without_penalties,
)
from tfbp.privacy.ways import BY_HAND, BY_TAPE, Way, layers_with_weights


def way_of(model: Any, data: Any, trains: bool = True) -> Way:
    """Returns the way for a model's examples: by hand where every trainable weight is recorded, else by tape.

    It runs two examples together and each alone. Where their norms differ, the loss or a layer ties the examples of a
    batch together.

    Args:
        data: packed data of at least one row.
        trains: whether layers that draw are to do so.

    Raises:
        InputError: a model that ties examples together, or draws where each example has its own tape.
    """
    with restored(model):
        return _way_of(model, data, trains)


def _way_of(model: Any, data: Any, trains: bool) -> Way:
    other = _other_row(data)
    first = keras.tree.map_structure(lambda leaf: None if leaf is None else tf.gather(leaf, [0, *other]), data)
    rows = int(next(leaf for leaf in keras.tree.flatten(first) if leaf is not None).shape[0])
    alone = [
        keras.tree.map_structure(lambda leaf, row=row: None if leaf is None else leaf[row : row + 1], first)
        for row in range(rows)
    ]
    way = Way(draws=_checked_call(model, first))
    training = not way.draws
    if not training and trains:
        # what draws may be called in another way in training, one that is not recorded
        _try_to_record(model, way, first)
    for losses in ("mean", "sum", "each"):
        way.losses = losses
        together = _first_try(model, way, first, training)
        apart = _tried(model, way, alone, training)
        if _agree(together, apart, model):
            break
        if way.reason or losses == "each" or (losses == "sum" and not _is_masked(model, first, training)):
            raise InputError(_tied(together, apart))
    way.layers = dict.fromkeys(layers_with_weights(model), BY_TAPE if way.reason else BY_HAND)
    return way


@contextlib.contextmanager
def restored(model: Any) -> Iterator[None]:
    """Restores the variables without a gradient, such as random generators' states, after the trial."""
    before = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _checked_call(model: Any, batch: Any) -> list[str]:
    """Returns the names of the layers that draw random numbers in training, seen in a call on a few rows.

    Raises:
        InputError: a layer that writes to a state or adds a loss.
    """
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    seeds = {id(each.state): layer.name for layer in [model, *all_layers(model)] for each in generators_of(layer)}
    before = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    with without_penalties(model):
        examples.called(model, x, True)
    for layer in [model, *all_layers(model)]:
        if layer._losses:
            raise InputError(
                f"model: got {layer.name!r}, which adds a loss by add_loss: its part in a single example's is not "
                "known; accepted: losses in compile or compute_loss, penalties on weights."
            )
    changed = [each for each, value in before if not np.array_equal(each.numpy(), value, equal_nan=True)]
    for variable in changed:
        if id(variable) not in seeds:
            raise InputError(
                f"model: got a layer that writes to {variable.path!r} in training, through which examples see each "
                "other; accepted: layers without a state."
            )
    return [seeds[id(variable)] for variable in changed]


def _try_to_record(model: Any, way: Way, batch: Any) -> None:
    try:
        _traced(model, way, batch, training=True)
    except Unweighted:
        way.is_weighted = False
        _try_to_record(model, way, batch)
    except NotRecorded as error:
        raise InputError(
            f"model: got {way.draws[0]!r}, which draws random numbers, in a model whose examples go by a tape each "
            f"(because of {cause_of(error)}); accepted: no dropout there, or layers of known kinds alone."
        ) from None


def _first_try(model: Any, way: Way, batch: Any, training: bool) -> np.ndarray:
    """Returns ‖g_b‖² of a batch; the way changes where a part of it turns out to be impossible."""
    try:
        return _tried(model, way, [batch], training)
    except Unweighted:
        way.is_weighted = False
    except NotRecorded as error:
        way.reason = cause_of(error)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        # some operations fail in parallel, such as a masked loop and grouped convolutions
        if way.is_by_hand or way.in_turn:
            raise
        way.in_turn = True
    return _first_try(model, way, batch, training)


def _tried(model: Any, way: Way, batches: list[Any], training: bool) -> np.ndarray:
    """Returns ‖g_b‖² of each example of several batches of one size, by one trace."""
    run = _traced(model, way, batches[0], training)
    return np.concatenate([run(*_leaves(batch)).numpy() for batch in batches])


def _traced(model: Any, way: Way, batch: Any, training: bool) -> Any:
    """Returns the program of ‖g_b‖² for such batches' tensors."""

    def squares(*given: tf.Tensor) -> tf.Tensor:
        return examples.find(model, way, unflattened(batch, given), training).squares

    return tf.function(squares, autograph=False).get_concrete_function(*map(tf.TensorSpec.from_tensor, _leaves(batch)))


def _leaves(batch: Any) -> list[tf.Tensor]:
    return [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]


def _other_row(data: Any) -> list[int]:
    """Returns a row that differs from the first; none if the next hundred do not."""
    leaves = [leaf[:100].numpy() for leaf in keras.tree.flatten(data) if leaf is not None]
    for row in range(1, len(leaves[0])):
        if not all(np.array_equal(leaf[0], leaf[row]) for leaf in leaves):
            return [row]
    return []


def _agree(together: np.ndarray, apart: np.ndarray, model: Any) -> bool:
    # many times the difference of two summation orders; tied examples differ by their own size
    roundoff = 2.0**-34 if all(w.dtype == "float64" for w in model.trainable_variables) else 2.0**-10
    if "16" in str(model.compute_dtype):
        roundoff = 2.0**-3
    both = np.isfinite(together) & np.isfinite(apart)
    together, apart = together[both], apart[both]
    allowed = roundoff * (np.maximum(together, apart) + 1e-3 * np.max(apart, initial=0.0))
    return bool(np.all(np.abs(together - apart) <= allowed))


def _is_masked(model: Any, data: Any, training: bool) -> bool:
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    found: list[Any] = []

    def trace() -> None:
        found.extend(get_keras_mask(output) for output in keras.tree.flatten(examples.called(model, x, training)))

    tf.function(trace, autograph=False).get_concrete_function()
    return any(mask is not None for mask in found)


def _tied(together: np.ndarray, apart: np.ndarray) -> str:
    was, alone = (float(np.sqrt(squares[0])) for squares in (together, apart))
    return (
        f"model: got a loss or a layer that ties a batch's examples together (a gradient's norm is {was:.4g} beside "
        f"another example and {alone:.4g} alone); accepted: a loss that is a mean or a sum over examples."
    )
