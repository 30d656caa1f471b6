"""Runs one call of a model by TensorFlow, with its masks and draws, and returns its results by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.draws import Draws
from tfbp.agreement.of_models.opened import Call, with_mask
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure

Array = np.ndarray


@dataclass
class Answer:
    """A call's results: outputs, gradients of its inputs (None for integers), of weights by index, new statistics."""

    ys: list[Array]
    dxs: list[Any] = field(default_factory=list)
    dweights: dict[int, Array] = field(default_factory=dict)
    new: dict[int, Array] = field(default_factory=dict)


@dataclass
class Recorded:
    """A call's inputs besides numbers: masks of its inputs, by place, and its draws."""

    masks: list[Any]
    draws: Draws


def base_dtype(call: Call, copies: Copies) -> str:
    """float64, or the operation's own dtype where it has no float64 copy."""
    operation = copies.of(call, "float64")
    return "float64" if not isinstance(operation, Failure) else str(call.operation.compute_dtype)


def tensors_of(arrays: Sequence[Any], dtype: str) -> list[Any]:
    """Returns arrays as tensors, floats in a dtype."""
    return [
        None if a is None else tf.constant(a) if np.asarray(a).dtype.kind in "iub" else tf.cast(tf.constant(a), dtype)
        for a in arrays
    ]


def answered(call: Call, operation: Any, fed: Any, recorded: Recorded, training: bool) -> Answer:
    """Returns the operation's own results, run eagerly."""
    results = run_call(call, operation, fed, recorded, training)
    variables = operation.variables if call.is_layer else []
    numbers = {id(v): i for i, v in enumerate(variables)}
    ys = [y for name, y in results.items() if name.startswith("y")]
    answer = Answer([as_float64(y) if y.dtype.is_floating else y.numpy() for y in ys])
    if fed["dy"] is not None:
        answer.dxs = [as_float64(results[f"dx{i}"]) if f"dx{i}" in results else None for i in range(len(fed["x"]))]
        answer.dweights = {numbers[id(v)]: as_float64(results[f"d {numbers[id(v)]}"]) for v in trained(operation)}
    answer.new = {
        numbers[id(v)]: as_float64(results[f"new {numbers[id(v)]}"])
        for v in variables
        if f"new {numbers[id(v)]}" in results
    }
    return answer


def trained(operation: Any) -> list[Any]:
    """Returns the weights of an operation that have a gradient."""
    return list(getattr(operation, "trainable_variables", ()))


def run_call(call: Call, operation: Any, fed: Any, recorded: Recorded, training: bool) -> dict[str, Any]:
    """Returns tensors by name: y0, …; dx0, … of floats; "d 0", … of weights and "new 1", … of statistics, by index.

    Statistics are restored inside the program, so that each call of a layer starts from the same ones."""
    xs, dys = fed["x"], fed["dy"]
    variables = operation.variables if call.is_layer else []
    numbers = {id(v): i for i, v in enumerate(variables)}
    moved = [v for v in variables if not v.trainable and keras.backend.is_float_dtype(v.dtype)]
    before = [tf.identity(v.value) for v in moved]
    sources = [x for x in xs if x.dtype.is_floating]
    own = trained(operation)
    with recorded.draws.given(), tf.GradientTape() as tape:
        tape.watch(sources)
        given = [with_mask(x, mask) for x, mask in zip(xs, recorded.masks, strict=True)]
        ys = call(operation, given, training)
    out = {f"y{i}": tf.convert_to_tensor(y) for i, y in enumerate(ys)}
    for v, value in zip(moved, before, strict=True):
        out[f"new {numbers[id(v)]}"] = tf.identity(v.value)
        v.assign(value)
    if dys is not None:
        floats = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.dtype.is_floating]
        gradients = tape.gradient(
            [y for y, _ in floats],
            [*sources, *(v.value for v in own)],
            output_gradients=[dy for _, dy in floats],
            unconnected_gradients="zero",
        )
        left = iter(gradients)
        out.update({f"dx{i}": next(left) for i, x in enumerate(xs) if x.dtype.is_floating})
        out.update({f"d {numbers[id(v)]}": tf.convert_to_tensor(next(left)) for v in own})
    return out
