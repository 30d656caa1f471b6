"""Computes the right pass through a model: every tensor and gradient, call by call in float64, sums in one place.

A first run of the model's own layers records each call's random numbers and masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.draws import Draws
from tfbp.agreement.of_models.opened import Call, Opened, mask_of, masks_taken_off
from tfbp.agreement.of_models.running import Recorded, base_dtype, tensors_of
from tfbp.agreement.of_models.truth import Truth, truth_of
from tfbp.agreement.problems import round_to
from tfbp.agreement.tolerances import monte_carlo
from tfbp.agreement.tolerances.monte_carlo import Rounding
from tfbp.errors import InputError
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, failure
from tfbp.judging.tolerances import Units
from tfbp.reference.graph import add

Array = np.ndarray
# a function of outputs, and of their errors: the loss and its gradients
Upstream = Callable[[list[Array], Rounding | None], tuple[float, list[Array]]]


@dataclass
class Pass:
    """One right pass.

    Attributes:
        made: every tensor by its number. loss: the outputs' loss.
        dmade: gradients by tensor. parts: the part of each call, by (tensor, call).
        dweights: by (layer's id, variable's index). weight_parts: the part of each call, by that and the call.
    """

    made: list[Array]
    loss: float = 0.0
    dmade: dict[int, Array] = field(default_factory=dict)
    parts: dict[tuple[int, int], Array] = field(default_factory=dict)
    dweights: dict[tuple[int, int], Array] = field(default_factory=dict)
    weight_parts: dict[tuple[int, int, int], Array] = field(default_factory=dict)


def recorded_run(
    model: Opened, copies: Copies, arrays: Sequence[Array], training: bool
) -> tuple[list[Recorded], list[Any]]:
    """Returns what each call gets besides numbers, in a run of the model's layers, and the masks of the outputs.

    Raises:
        InputError: a layer that does not run on these inputs, or draws what cannot be recorded.
    """
    tensors = dict(enumerate(tensors_of(arrays, "float64")))
    recorded = [_recorded_call(call, copies, tensors, training) for call in model.calls]
    masks = [mask_of(tensors[number]) for number in model.outputs]
    return recorded, [None if mask is None else mask.numpy() for mask in masks]


def _recorded_call(call: Call, copies: Copies, tensors: dict[int, Any], training: bool) -> Recorded:
    """Returns what a call gets besides numbers, and adds what it makes to the tensors."""
    dtype = base_dtype(call, copies)
    operation = copies.of(call, dtype)
    if isinstance(operation, Failure):
        raise InputError(f"model: got {call.name!r}, {operation.sentence}; accepted: layers that can be copied.")
    draws, given = Draws(), []
    for number in call.takes:
        tensor, mask = tensors[number], mask_of(tensors[number])
        if tensor.dtype.is_floating and tensor.dtype.name != dtype:
            (tensor,) = tensors_of([as_float64(tensor)], dtype)
            tensor._keras_mask = mask
        given.append(tensor)
    masks = [None if mask_of(item) is None else mask_of(item).numpy() for item in given]
    try:
        with draws.recorded():
            outputs = call(operation, given, training)
    except InputError:
        raise
    except Exception as error:
        if dtype == "float64" and call.is_layer and call.operation.compute_dtype != dtype:
            # TensorFlow has no float64 kernel of it on this device, as of pooling of volumes on a CPU
            copies.refuse(call, dtype, failure(error))
            return _recorded_call(call, copies, tensors, training)
        said = (str(error).splitlines() or [""])[0]
        what = f"what {call.name!r} does not take, {type(error).__name__}: {said}"
        raise InputError(f"x: got {what}; accepted: the model's inputs.") from None
    masks_taken_off(call, given, tensors)
    tensors.update(zip(call.makes, outputs, strict=True))
    return Recorded(masks, draws)


def truths_of(
    model: Opened, copies: Copies, arrays: Sequence[Array], recorded: Sequence[Recorded], training: bool
) -> list[Truth]:
    """Returns the truth for each call, in order; shapes are computed on the way."""
    tensors_so_far, truths = list(arrays), []
    for call, record in zip(model.calls, recorded, strict=True):
        xs = [tensors_so_far[number] for number in call.takes]
        shapes = [
            (x.shape, "int32" if x.dtype.kind in "iu" else "bool" if x.dtype.kind == "b" else "float64") for x in xs
        ]
        truth = truth_of(call, copies, shapes, record, training)
        try:
            answer = truth.run(xs, None, "float64")
        except Exception:
            # the bridge converted it, and the reference cannot run it
            truth = truth_of(call, copies, shapes, Recorded([True], Draws()), training)
            answer = truth.run(xs, None, "float64")
        tensors_so_far += answer.ys
        truths.append(truth)
    return truths


def right_pass(
    model: Opened,
    truths: Sequence[Truth],
    arrays: Sequence[Array],
    upstream: Upstream,
    dtype: str,
    noise: Rounding | None = None,
) -> Pass:
    """Runs forward and backward, with inputs and weights rounded to a dtype.

    Args:
        upstream: returns the loss and its gradients, from the outputs.
    """
    one_pass = Pass([rounded(x, dtype) for x in arrays])
    for call, truth in zip(model.calls, truths, strict=True):
        one_pass.made += truth.run([one_pass.made[i] for i in call.takes], None, dtype, noise).ys
    ends = [one_pass.made[i] for i in model.outputs]
    one_pass.loss, upper = upstream(ends, noise)
    for number, dy in zip(model.outputs, upper, strict=True):
        one_pass.parts[number, -1] = dy
        add(one_pass.dmade, number, dy)
    for index, (call, truth) in reversed([*enumerate(zip(model.calls, truths, strict=True))]):
        ys = [one_pass.made[number] for number in call.makes]
        dys = [one_pass.dmade.get(number, np.zeros(y.shape)) for number, y in zip(call.makes, ys, strict=True)]
        answer = truth.run([one_pass.made[i] for i in call.takes], dys, dtype, noise)
        for number, dx in zip(call.takes, answer.dxs, strict=True):
            if dx is not None:
                one_pass.parts[number, index] = dx
                add(one_pass.dmade, number, dx)
        for weight, dw in answer.dweights.items():
            one_pass.weight_parts[id(call.operation), weight, index] = dw
            add(one_pass.dweights, (id(call.operation), weight), dw)
    return one_pass


def rounded(array: Any, dtype: str) -> Any:
    """Rounds the numbers to a dtype; integers stay."""
    return array if array is None or array.dtype.kind in "iub" else round_to(array, dtype)


def named_pass(model: Opened, found: Pass) -> dict[str, Array]:
    """Returns every tensor and gradient of a pass by a key."""
    out: dict[str, Array] = {"loss": np.asarray(found.loss)}
    for number in range(model.inputs, len(found.made)):
        if found.made[number].dtype.kind == "f":
            out[f"y {number}"] = found.made[number]
    out.update({f"dy {number}": d for number, d in found.dmade.items()})
    out.update({f"part {number} {index}": d for (number, index), d in found.parts.items() if index >= 0})
    out.update({f"dw {layer} {weight}": d for (layer, weight), d in found.dweights.items()})
    return out


def tolerances_of_the_pass(
    model: Opened, truths: Sequence[Truth], arrays: Sequence[Array], upstream: Upstream, dtype: str, right: Pass
) -> Mapping[str, Array]:
    """Returns T of every tensor of a whole pass, by Monte Carlo arithmetic."""
    units = Units.of(dtype, "tape")

    def run(noise: Rounding) -> dict[str, Array]:
        return named_pass(model, right_pass(model, truths, arrays, upstream, dtype, noise))

    return monte_carlo.sensitivity(run, named_pass(model, right), units)
