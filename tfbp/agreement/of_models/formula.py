"""Measures how far roundings move a layer's own formula, and checks a layer by differences of its forward.

Keras's BatchNormalization is x · inv + (β - mean · inv), which rounds differently from the textbook's formula. So
where a layer exceeds the reference's tolerance, its own formula is traced in float64, with random errors in every
operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.layers import Fed
from tfbp.agreement.of_models.opened import Call, with_mask
from tfbp.agreement.of_models.running import Recorded, base_dtype
from tfbp.checking.api import check_gradients
from tfbp.checking.instruments.noise import Noise
from tfbp.checking.report import Report
from tfbp.checking.subject import Program, Subject
from tfbp.errors import InputError
from tfbp.judging.failures import Failure

SAMPLES = 8


def as_function(call: Call, operation: Any, recorded: Recorded, training: bool = True) -> Callable[..., Any]:
    """Returns the call as a function of its tensors, with its masks and draws."""

    def called(*tensors: Any) -> list[Any]:
        given = [with_mask(x, mask) for x, mask in zip(tensors, recorded.masks, strict=True)]
        with recorded.draws.given():
            return call(operation, given, training)

    called.__name__ = call.name
    if call.is_layer:
        called.owner = operation  # type: ignore[attr-defined]
    return called


def formula_tolerances(call: Call, copies: Copies, recorded: Recorded, fed: Fed, dtype: str) -> dict[str, np.ndarray]:
    """Returns T of outputs, statistics and gradients by `run_call`'s names; empty where it cannot be traced."""
    if base_dtype(call, copies) != "float64":
        return {}
    operation = copies.of(call, "float64")
    if call.is_layer:
        copies.assign(call.operation, operation, dtype)
    ys = [name for name in fed.right if name[0] == "y"]
    statistics = [name for name in fed.right if name.startswith("new")]
    renewed = [operation.variables[int(name.split()[1])] for name in statistics]
    function = as_function(call, operation, recorded)

    def with_statistics(*tensors: Any) -> list[Any]:
        before = [tf.identity(v.value) for v in renewed]
        made = function(*tensors)
        after = [tf.identity(v.value) for v in renewed]
        for v, value in zip(renewed, before, strict=True):
            v.assign(value)
        return [*made, *after]

    with_statistics.owner = operation  # type: ignore[attr-defined]
    dys = [dy for i, dy in enumerate(fed.dys) if f"y{i}" in fed.right]
    # a statistic sends no gradient back
    dys += [np.zeros(v.shape) for v in renewed]
    measured = noise_of(with_statistics if renewed else function, fed.xs, dys, dtype)
    if measured is None:
        return {}
    outputs, gradients, program = measured
    numbers = {id(v.value): i for i, v in enumerate(operation.variables)} if call.is_layer else {}
    names = [f"dx{i}" for i in program.subject.differentiable]
    names += [f"d {numbers.get(id(v))}" for v in program.variables]
    found = {**dict(zip([*ys, *statistics], outputs, strict=True)), **dict(zip(names, gradients, strict=True))}
    return {name: t for name, t in found.items() if t is not None and name in fed.right}


def noise_of(
    function: Callable[..., Any], xs: Sequence[Any], dys: Sequence[Any], dtype: str
) -> tuple[list[Any], list[Any], Program] | None:
    """Returns T of a function's outputs and gradients, and its program; None where it cannot be traced in float64."""
    try:
        program = Subject(function, list(xs)).at("float64")
    except InputError:
        return None
    if isinstance(program, Failure):
        return None
    noise = Noise(program, SAMPLES, in_few_bits=dtype in ("bfloat16", "float16"))
    outputs, gradients, _ = noise.tolerances(dtype, program.values, dys)
    return outputs, gradients, program


def by_differences(
    call: Call, copies: Copies, recorded: Recorded, xs: Sequence[np.ndarray], seed: int, device: str
) -> Report | str:
    """Returns `check_gradients`' report of a layer that the reference does not have; or why it cannot run."""
    dtype = base_dtype(call, copies)
    operation = copies.of(call, dtype)
    if call.is_layer:
        copies.assign(call.operation, operation, "float64")
    return differences_of(as_function(call, operation, recorded), xs, dtype, seed, device)


def differences_of(function: Callable[..., Any], xs: Sequence[Any], dtype: str, seed: int, device: str) -> Report | str:
    """Returns `check_gradients`' report of a function in its own dtype; or why it cannot run."""
    try:
        return check_gradients(function, list(xs), dtypes=[dtype], modes=["eager"], seed=seed, device=device)
    except InputError as error:
        return str(error)
