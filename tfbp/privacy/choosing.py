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
from tfbp.privacy import examples, ties
from tfbp.privacy.keras_internals import get_keras_mask
from tfbp.privacy.recording import (
    NotRecorded,
    Unweighted,
    all_layers,
    cause_of,
    generators_of,
    without_penalties,
)
from tfbp.privacy.ways import BY_HAND, BY_TAPE, Way, layers_with_weights, rows_in_parallel


def way_of(model: Any, data: Any, trains: bool = True) -> Way:
    """Returns the way for a model's examples: by hand where every trainable weight is recorded, else by tape.

    It runs a few examples together and each alone, and some of them beside others. Where their norms differ, the loss
    or a layer ties the examples of a batch together.

    Args:
        data: packed data of at least one row.
        trains: whether layers that draw are to do so.

    Raises:
        InputError: a model that ties examples together, or draws where each example has its own tape.
    """
    with restored(model):
        return _way_of(model, data, trains)


def _way_of(model: Any, data: Any, trains: bool) -> Way:
    first, other, half = ties.rows_to_try(data, max(2, rows_in_parallel(model)))
    rows = half if other is None else 2 * half
    alone = [
        keras.tree.map_structure(lambda leaf, row=row: None if leaf is None else leaf[row : row + 1], first)
        for row in range(rows)
    ]
    way, is_masked = _checked_call(model, first)
    training = not way.draws
    # Keras divides by how many a mask leaves of a whole batch, also where the rows that are tried have no gap
    for losses in ("each",) if is_masked else ("mean", "sum"):
        way.losses = losses
        run, together = _first_try(model, way, first, training)
        apart = _tried(_traced(model, way, alone[0], training), alone)
        if ties.are_close(together[0], apart[0], ties.roundoff_of(model, same_shape=False)):
            break
        if way.reason or losses != "mean":
            raise ties.tied(together[0], apart[0])
    if way.is_by_hand and not ties.are_close(together[1], apart[1], ties.roundoff_of(model, same_shape=False)):
        # not linear in the weights, so that its derivatives by them are not the examples' losses
        way.is_weighted = False
    if way.is_by_hand:
        _check_beside_others(model, way, first, other, half, run if training or not trains else None)
    else:
        if way.draws and trains:
            raise _drawn(way, way.reason)
        if not is_masked:
            ties.check_sum(model, way, first, training)
    way.layers = dict.fromkeys(layers_with_weights(model), BY_TAPE if way.reason else BY_HAND)
    return way


@contextlib.contextmanager
def restored(model: Any) -> Iterator[None]:
    """Restores the variables without a gradient, such as random generators' states, after the trial."""
    variables = [*model.non_trainable_variables, *(each for metric in model.metrics for each in metric.variables)]
    before = [(variable, variable.numpy()) for variable in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _checked_call(model: Any, batch: Any) -> tuple[Way, bool]:
    """Returns a way with the layers that draw in training, and whether outputs are masked, by a call on a few rows.

    Raises:
        InputError: a layer that writes to a state or adds a loss.
    """
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    seeds = {id(each.state): layer.name for layer in [model, *all_layers(model)] for each in generators_of(layer)}
    before = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    with without_penalties(model):
        outputs = examples.called(model, x, True)
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
    is_masked = any(get_keras_mask(output) is not None for output in keras.tree.flatten(outputs))
    return Way(draws=[seeds[id(variable)] for variable in changed]), is_masked


def _check_beside_others(model: Any, way: Way, first: Any, other: Any, half: int, run: Any) -> None:
    """Raises `InputError` unless examples have the same norms beside other ones, as layers are called in training.

    The two batches have one shape, so layers that draw give the examples the same numbers in both.

    Args:
        run: the program; None for one in which layers draw, which may call layers in ways that are not recorded.
    """
    if run is None:
        run = _to_train(model, way, first)
    if other is None:
        return
    found = []
    for batch in (first, other):
        with restored(model):
            found.append(_tried(run, [batch])[0][:half])
    before, after = found
    if not ties.are_close(before, after, ties.roundoff_of(model, same_shape=True)):
        raise ties.tied(before, after, "beside other ones")


def _to_train(model: Any, way: Way, batch: Any) -> Any:
    try:
        return _traced(model, way, batch, training=True)
    except Unweighted:
        way.is_weighted = False
        return _to_train(model, way, batch)
    except NotRecorded as error:
        raise _drawn(way, cause_of(error)) from None


def _drawn(way: Way, cause: str) -> InputError:
    return InputError(
        f"model: got {way.draws[0]!r}, which draws random numbers, in a model whose examples go by a tape each "
        f"(because of {cause}); accepted: no dropout there, or layers of known kinds alone."
    )


def _first_try(model: Any, way: Way, batch: Any, training: bool) -> tuple[Any, np.ndarray]:
    """Returns a batch's program and its results; the way changes where a part of it turns out to be impossible."""
    try:
        run = _traced(model, way, batch, training)
        return run, _tried(run, [batch])
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


def _tried(run: Any, batches: list[Any]) -> np.ndarray:
    """Returns ‖g_b‖² and ℓ_b of each example of several batches of one size, (2, B)."""
    return np.concatenate([run(*_leaves(batch)).numpy() for batch in batches], axis=1)


def _traced(model: Any, way: Way, batch: Any, training: bool) -> Any:
    """Returns the program of ‖g_b‖² and ℓ_b for such batches' tensors."""

    def results(*given: tf.Tensor) -> tf.Tensor:
        found = examples.find(model, way, unflattened(batch, given), training)
        return tf.stack([found.squares, tf.cast(found.losses, tf.float64)])

    specs = map(tf.TensorSpec.from_tensor, _leaves(batch))
    program = tf.function(results, autograph=False).get_concrete_function(*specs)
    ties.check_writes(model, program.graph)
    return program


def _leaves(batch: Any) -> list[tf.Tensor]:
    return [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]
