"""Runs the model as one program, forward and backward, to find errors that no single layer shows.

A tensor with several users is passed to each user separately, so that the gradients that meet at it are visible. Their
sum is compared with them: that needs no other truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.draws import Draws
from tfbp.agreement.of_models.layers import names_of
from tfbp.agreement.of_models.objective import Objective
from tfbp.agreement.of_models.opened import Opened, mask_of, masks_taken_off, with_mask
from tfbp.agreement.of_models.passes import Pass
from tfbp.agreement.of_models.running import Recorded, trained
from tfbp.judging.arrays import as_float64
from tfbp.judging.comparison import Comparison, compare
from tfbp.judging.diagnosis import Clues
from tfbp.judging.tolerances import UNDERFLOW, UNIT_ROUNDOFF

Array = np.ndarray


@dataclass(frozen=True)
class Place:
    """The place of a tensor of the whole pass: its layer, its name, and its part of the report."""

    layer: str
    tensor: str
    part: str = "whole"


def whole_pass(
    model: Opened, objective: Objective, recorded: Sequence[Recorded], dtype: str, inputs: Sequence[Any], copies: Copies
) -> dict[str, Any]:
    """Returns every tensor and gradient of the model by the keys of `named_pass`, the loss, and masks."""
    tensors: dict[int, Any] = dict(enumerate(inputs))
    operations = [copies.of(call, dtype) for call in model.calls]
    state = [
        v for call, o in zip(model.calls, operations, strict=True) if call.is_layer for v in o.non_trainable_variables
    ]
    before = [tf.identity(v.value) for v in state]
    watched: dict[str, Any] = {}
    out: dict[str, Any] = {}
    with tf.GradientTape() as tape:
        tape.watch([x for x in inputs if x.dtype.is_floating])
        for index, call in enumerate(model.calls):
            given = []
            for number in call.takes:
                tensor, mask = tensors[number], mask_of(tensors[number])
                if mask is not None:
                    out[f"mask {number} {index}"] = tf.identity(mask)
                if tensor.dtype.is_floating and uses(model, number) > 1:
                    tensor = watched[f"part {number} {index}"] = tf.identity(tensor)
                given.append(with_mask(tensor, mask) if mask_of(tensor) is not mask else tensor)
                watched[f"part {number} {index}"] = given[-1]
            with recorded[index].draws.given():
                made = call(operations[index], given, True)
            masks_taken_off(call, given, tensors)
            tensors.update(zip(call.makes, made, strict=True))
        ends = []
        for number in model.outputs:
            end = tensors[number]
            if uses(model, number) > 1:
                end = watched[f"part {number} loss"] = with_mask(tf.identity(end), mask_of(end))
            if mask_of(end) is not None:
                out[f"mask {number} loss"] = tf.identity(mask_of(end))
            ends.append(end)
        loss = objective(ends, dtype)
    sources = {f"dy {n}": t for n, t in tensors.items() if t.dtype.is_floating}
    sources.update({key: t for key, t in watched.items() if t.dtype.is_floating and uses(model, _number(key)) > 1})
    for layer in model.layers:
        operation = copies.of(model.calls[model.calls_of(layer)[0]], dtype)
        numbers = {id(v): i for i, v in enumerate(operation.variables)}
        sources.update({f"dw {id(layer)} {numbers[id(v)]}": v.value for v in trained(operation)})
    out.update({f"y {n}": t for n, t in tensors.items() if n >= model.inputs and t.dtype.is_floating})
    out["loss"] = loss
    gradients = tape.gradient(loss, list(sources.values()))
    out.update({k: tf.convert_to_tensor(g) for k, g in zip(sources, gradients, strict=True) if g is not None})
    for v, value in zip(state, before, strict=True):
        v.assign(value)
    return out


def as_it_is(
    model: Opened, objective: Objective, recorded: Sequence[Recorded], dtype: str, inputs: Sequence[Any]
) -> dict[str, Any]:
    """Calls the user's model itself, as training does. Returns its outputs, its loss, the gradients of its weights."""
    state = list(model.model.non_trainable_variables)
    before = [tf.identity(v.value) for v in state]
    draws = Draws()
    draws.numbers = [number for record in recorded for number in record.draws.numbers]
    with draws.given(), tf.GradientTape() as tape:
        outputs = tf.nest.flatten(model.model(tf.nest.pack_sequence_as(_structure(model), list(inputs)), training=True))
        loss = objective(outputs, dtype)
    sources = {}
    for layer in model.layers:
        numbers = {id(v): i for i, v in enumerate(layer.variables)}
        sources.update({f"dw {id(layer)} {numbers[id(v)]}": v.value for v in trained(layer)})
    gradients = tape.gradient(loss, list(sources.values()))
    out = {f"y {n}": tf.convert_to_tensor(y) for n, y in zip(model.outputs, outputs, strict=True)}
    out["loss"] = loss
    out.update({k: tf.convert_to_tensor(g) for k, g in zip(sources, gradients, strict=True) if g is not None})
    for v, value in zip(state, before, strict=True):
        v.assign(value)
    return out


def _structure(model: Opened) -> Any:
    structure = getattr(model.model, "_inputs_struct", None)
    return 0 if structure is None or (model.inputs == 1 and not isinstance(structure, dict)) else structure


def uses(model: Opened, number: int) -> int:
    """Returns the number of users of a tensor, its loss included."""
    return len(model.takers(number)) + model.outputs.count(number)


def _number(key: str) -> int:
    return int(key.split(" ")[1])


def in_order(model: Opened, right: Mapping[str, Array]) -> Iterator[tuple[str, Place]]:
    """Yields the keys of a whole pass, forward and then backward, with their places."""
    for call in model.calls:
        names = names_of(call)
        for i, number in enumerate(call.makes):
            if f"y {number}" in right:
                yield f"y {number}", Place(call.name, names[f"y{i}"])
    yield "loss", Place("loss", "loss")
    for index, call in reversed([*enumerate(model.calls)]):
        names = names_of(call)
        for i, number in enumerate(call.makes):
            if f"dy {number}" in right:
                several = f" of {uses(model, number)} uses" if uses(model, number) > 1 else ""
                yield f"dy {number}", Place(call.name, f"d{names[f'y{i}']}{several}")
        if not call.calls_before:
            part = "shared" if len(model.calls_of(call.operation)) > 1 else "whole"
            for weight in range(len(call.operation.variables) if call.is_layer else 0):
                if (key := f"dw {id(call.operation)} {weight}") in right:
                    yield key, Place(call.name, names[f"d {weight}"], part)
        for i, number in enumerate(call.takes):
            if f"part {number} {index}" in right and uses(model, number) > 1:
                yield f"part {number} {index}", Place(call.name, names[f"dx{i}"])
    for number in range(model.inputs):
        if f"dy {number}" in right:
            yield f"dy {number}", Place(model.names[number], "gradient")


def forks(
    model: Opened, found: Mapping[str, Any], dtype: str, wider: float = 1.0
) -> Iterator[tuple[Place, Comparison]]:
    """Compares each sum of gradients of a tensor with several users with the sum of the same program's parts."""
    for number, name in enumerate(model.names):
        parts = {key: as_float64(t) for key, t in found.items() if key.startswith(f"part {number} ")}
        if len(parts) < 2 or f"dy {number}" not in found:
            continue
        terms = {f"from {_taker(model, key)}": part for key, part in parts.items()}
        total = sum(parts.values())
        sizes = sum(np.abs(part) for part in parts.values())
        # each partial sum rounds once
        tolerance = wider * len(parts) * UNIT_ROUNDOFF[dtype] * sizes + UNDERFLOW[dtype]
        what = f"sum of {len(parts)} gradients"
        # the dtype of the tensor itself, which is float32 where a constant of the model is
        own = found.get(f"y {number}", found[f"dy {number}"]).dtype.name
        comparison = compare(what, found[f"dy {number}"], total, tolerance, own, partial(Clues, terms=terms))
        yield Place(name, what, "fork"), comparison


def _taker(model: Opened, key: str) -> str:
    index = key.split(" ")[2]
    return "the loss" if index == "loss" else model.calls[int(index)].name


def shared_terms(model: Opened, right: Pass, key: str) -> Clues:
    """Returns, for a weight of a layer with several calls, each call's part of its gradient."""
    _, layer, weight = key.split(" ")
    terms = {}
    for (of, number, index), part in right.weight_parts.items():
        if (of, number) == (int(layer), int(weight)):
            terms[f"of the call {model.calls[index].name!r}"] = part
    alone = {
        f"only what {name.removeprefix('of ')} adds: the others are overwritten": part for name, part in terms.items()
    }
    return Clues(terms=terms, mistakes=alone)
