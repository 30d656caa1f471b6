"""Finds what ties the examples of a batch together, by trials on a few rows, and what a traced program writes.

Where examples are tied, a gradient depends on other examples: clipping it does not bound what one of them changes.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting.sources import inner_graphs
from tfbp.fitting.steps import unflattened
from tfbp.privacy import examples
from tfbp.privacy.recording import all_layers, generators_of, without_penalties
from tfbp.privacy.ways import Way

# half of the rows of a trial
HALF = 4


def rows_to_try(data: Any, most: int) -> tuple[Any, Any, int]:
    """Returns a batch of up to `most` different rows, one that differs in its second half, and the size of a half.

    The second half of the other batch has labels of the first: a loss of pairs or triplets is 0 where no two labels are
    equal. Sample weights all differ, so that a loss that divides by their sum is found. Equal rows throughout give a
    batch of one row, and no other.
    """
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    differs = np.zeros(leaves[0].shape[0], bool)
    for leaf in leaves:
        flat = tf.reshape(leaf, [leaf.shape[0], -1])
        differs |= tf.reduce_any(flat != flat[:1], axis=1).numpy()
    different = np.flatnonzero(differs)
    half = max(1, min(HALF, most // 2, (len(different) + 1) // 2))
    drawn = np.random.default_rng(0).permutation(different)[: 3 * half - 1]
    rows = np.array([0, *drawn])
    x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
    if not len(drawn):
        return (_taken(x, rows), _taken(y, rows), _weighted(weights, rows, 1)), None, 1
    first, second = rows[:half], rows[half : 2 * half]
    third = np.resize([*rows[2 * half :], *first], half)

    def batch(of_x: Any, of_y: Any, least: float) -> Any:
        both = np.concatenate([first, of_x])
        labels = np.concatenate([first, of_y])
        return _taken(x, both), _taken(y, labels), _weighted(weights, both, least)

    return batch(second, second, 1.0), batch(third, first, 2.0), half


def _taken(data: Any, rows: np.ndarray) -> Any:
    return keras.tree.map_structure(lambda leaf: None if leaf is None else tf.gather(leaf, rows), data)


def _weighted(weights: Any, rows: np.ndarray, least: float) -> Any:
    """Returns weights that all differ, those of the second half by the factor `least` more."""
    factors = 1 + np.arange(len(rows)) / 8
    factors[len(rows) // 2 :] *= least

    def of_rows(leaf: Any) -> Any:
        if leaf is None:
            return None
        taken = tf.gather(leaf, rows)
        taken = taken if taken.dtype.is_floating else tf.cast(taken, keras.config.floatx())
        each = tf.reshape(tf.constant(factors, taken.dtype), [-1] + [1] * (taken.shape.rank - 1))
        return (1 + tf.abs(taken)) * each

    return keras.tree.map_structure(of_rows, weights)


def check_sum(model: Any, way: Way, batch: Any, training: bool) -> None:
    """Raises `InputError` unless the gradient of a batch's loss is the mean or the sum of its examples', by tape."""
    values = [variable.value for variable in model.trainable_variables]
    leaves = [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]

    def products(*given: tf.Tensor) -> list[tf.Tensor]:
        x, y, sample_weight = data = unflattened(batch, given)
        with without_penalties(model), tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = examples.called(model, x, training)
            loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=training)
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        whole = [tf.cast(tf.convert_to_tensor(gradient), tf.float64) for gradient in gradients]
        found = examples.find(model, way, data, training)
        ones = tf.ones_like(found.squares)
        sums = [tf.cast(total, tf.float64) for total in found.weighted(tf.cast(ones, examples.wide(values)), ones > 0)]
        pairs = (whole, whole), (whole, sums), (sums, sums)
        return [tf.add_n([tf.reduce_sum(a * b) for a, b in zip(*pair, strict=True)]) for pair in pairs]

    program = tf.function(products, autograph=False).get_concrete_function(*map(tf.TensorSpec.from_tensor, leaves))
    whole, both, sums = (float(each) for each in program(*leaves))
    rows, roundoff = leaves[0].shape[0], roundoff_of(model, same_shape=False)
    # ‖whole - sums / n‖², of a mean and of a sum
    apart = [whole - 2 * both / n + sums / n**2 for n in (rows, 1)]
    allowed = [roundoff * (whole + sums / n**2) for n in (rows, 1)]
    if np.isfinite(whole + sums) and all(each > most for each, most in zip(apart, allowed, strict=True)):
        raise tied(np.array([whole]), np.array([sums / rows**2]), "as a mean of the examples alone")


def check_writes(model: Any, graph: Any) -> None:
    """Raises `InputError` for a write to a variable other than a random generator's state or a metric's."""
    known = [each.state for layer in [model, *all_layers(model)] for each in generators_of(layer)]
    known += [variable for metric in model.metrics for variable in metric.variables]
    allowed = {id(variable.value.handle) for variable in known}
    graphs = [graph, *inner_graphs(graph)]
    outer = {id(inside): outside for each in graphs for outside, inside in each.captures}
    for operation in [operation for each in graphs for operation in each.get_operations()]:
        if not operation.type.startswith(("Assign", "ResourceScatter", "ResourceStridedSliceAssign", "LookupTable")):
            continue
        if operation.type.startswith("LookupTable") and "Insert" not in operation.type:
            continue
        handle: Any = operation.inputs[0]
        while id(handle) in outer:
            handle = outer[id(handle)]
        if id(handle) not in allowed:
            raise InputError(
                f"model: got a layer or a loss that writes to {_name_of(model, graph, handle)} in training, through "
                "which examples see each other; accepted: layers and losses without a state."
            )


def _name_of(model: Any, graph: Any, handle: Any) -> str:
    for variable in model.variables:
        if variable.value.handle is handle:
            return repr(variable.path)
    names = [variable.name for variable in graph.variables if variable.handle is handle]
    return repr(names[0]) if names else "a variable"


def are_close(one: np.ndarray, other: np.ndarray, roundoff: float) -> bool:
    """Whether numbers agree to a relative roundoff, those a thousandth as large as the largest a little less."""
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    one, other = one[finite], other[finite]
    size = np.maximum(np.abs(one), np.abs(other))
    allowed = roundoff * (size + 1e-3 * np.max(size, initial=0.0))
    return bool(np.all(np.abs(one - other) <= allowed))


def roundoff_of(model: Any, same_shape: bool) -> float:
    """Many times what two orders of a sum differ by; less for one program on batches of one shape.

    Tied examples differ by their own size, or by a small term of the loss."""
    if "16" in str(model.compute_dtype):
        return 2.0**-10 if same_shape else 2.0**-3
    wide = all(variable.dtype == "float64" for variable in model.trainable_variables)
    if same_shape:
        return 2.0**-44 if wide else 2.0**-17
    return 2.0**-34 if wide else 2.0**-10


def tied(was: np.ndarray, alone: np.ndarray, beside: str = "alone") -> InputError:
    worst = int(np.nanargmax(np.abs(was - alone))) if np.any(np.isfinite(was - alone)) else 0
    first, second = (float(np.sqrt(max(squares[worst], 0))) for squares in (was, alone))
    return InputError(
        f"model: got a loss or a layer that ties a batch's examples together (a gradient's norm is {first:.7g} beside "
        f"another example and {second:.7g} {beside}); accepted: a loss that is a mean or a sum over examples."
    )
