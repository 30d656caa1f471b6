"""Runs each of a model's layers by itself on right tensors and upstream gradients, in one dtype and mode.

All calls are one program; where that raises, each call is a separate program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.opened import Call, Opened
from tfbp.agreement.of_models.passes import Pass, rounded
from tfbp.agreement.of_models.running import Answer, Recorded, run_call, tensors_of
from tfbp.agreement.of_models.truth import REFERENCE, Truth
from tfbp.agreement.programs import compiled
from tfbp.agreement.tolerances import monte_carlo
from tfbp.agreement.tolerances.monte_carlo import Rounding
from tfbp.judging.comparison import Comparison, compare
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF, Units

Array = np.ndarray


@dataclass
class Fed:
    """A call's inputs in a dtype, the right answer, and its tolerances.

    Attributes:
        xs, dys: rounded to the dtype. scale: the power of two between dys and the upstream gradients.
        right, tolerances: by the names of `run_call`.
    """

    xs: list[Array]
    dys: list[Any]
    right: dict[str, Array]
    tolerances: dict[str, Array]
    scale: float = 1.0


def fed_of(call: Call, truth: Truth, whole: Pass, dtype: str, rng: np.random.Generator) -> Fed:
    """Returns the right pass's tensors and upstream gradients, the latter scaled to about 1 by a power of two, rounded.

    Where no gradient reaches the call, it is random."""
    xs = [rounded(whole.made[number], dtype) for number in call.takes]
    dys, sizes = [], []
    for number in call.makes:
        dy = whole.dmade.get(number)
        if dy is None or not dy.any() or not np.isfinite(dy).all():
            y = whole.made[number]
            dy = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)
        dys.append(dy)
        sizes.append(float(np.sqrt(np.mean(dy**2))))
    scale = 2.0 ** -np.floor(np.log2(max(sizes)))
    dys = [rounded(scale * dy, dtype) for dy in dys]
    right = by_name(truth.run(xs, dys, dtype))
    return Fed(xs, dys, right, tolerances_of(truth, xs, dys, dtype, right), scale)


def tolerances_of(
    truth: Truth, xs: Any, dys: Any, dtype: str, right: dict[str, Array], in_few_bits: bool = False
) -> dict[str, Array]:
    """Returns T of each of the call's tensors, by Monte Carlo arithmetic on the reference.

    Args:
        in_few_bits: for products summed in the dtype itself, as some of TensorFlow's kernels do in 16 bits.
    """
    if truth.by != REFERENCE:
        return {}
    units = Units.of(dtype, "tape")
    if in_few_bits:
        units = replace(units, product=units.out)

    def run(noise: Rounding) -> dict[str, Array]:
        return by_name(truth.run(xs, dys, dtype, noise))

    return monte_carlo.sensitivity(run, right, units)


def by_name(answer: Answer) -> dict[str, Array]:
    """Returns an answer's arrays by the names of `run_call`."""
    arrays = {f"y{i}": y for i, y in enumerate(answer.ys) if y.dtype.kind == "f"}
    arrays.update({f"new {i}": new for i, new in answer.new.items()})
    arrays.update({f"dx{i}": dx for i, dx in enumerate(answer.dxs) if dx is not None})
    return {**arrays, **{f"d {i}": dw for i, dw in answer.dweights.items()}}


def trials(
    model: Opened, copies: Copies, recorded: Sequence[Recorded], fed: Sequence[Fed], dtype: str, mode: str, apart: bool
) -> list[Any]:
    """Returns each call's results by name, or a `Failure`; None for a call without a copy in the dtype.

    Args:
        apart: whether each call is a separate program, for less memory.
    """
    training = True
    inputs: list[Any] = []
    for call, each in zip(model.calls, fed, strict=True):
        operation = copies.of(call, dtype)
        if call.is_layer and not isinstance(operation, Failure):
            copies.assign(call.operation, operation, dtype)
        inputs.append({"x": tensors_of(each.xs, dtype), "dy": tensors_of(each.dys, dtype)})

    def one(index: int, given: Any) -> dict[str, Any]:
        call = model.calls[index]
        return run_call(call, copies.of(call, dtype), given, recorded[index], training)

    runs = [index for index, call in enumerate(model.calls) if not isinstance(copies.of(call, dtype), Failure)]

    def together(given: Any) -> dict[str, Any]:
        return {f"{index} {name}": t for index in runs for name, t in one(index, given[index]).items()}

    results = Failure("") if apart or mode == "eager" else attempt(in_mode, together, inputs, mode)
    if not isinstance(results, Failure):
        return [
            {name.partition(" ")[2]: t for name, t in results.items() if name.partition(" ")[0] == str(index)}
            if index in runs
            else None
            for index in range(len(model.calls))
        ]
    return [
        attempt(in_mode, partial(one, index), inputs[index], mode) if index in runs else None
        for index in range(len(model.calls))
    ]


def in_mode(function: Any, fed: Any, mode: str, before: Any = None) -> Any:
    """Returns function(fed) in a mode; as a graph of an unknown number of rows, where that can be traced.

    Args:
        before: the graph's first inputs, of other shapes: a result that depends on them would show.
    """
    if mode == "graph":
        program = attempt(compiled, function, mode, fed)
        if not isinstance(program, Failure):
            if before is not None:
                attempt(program, before)
            answer = attempt(program, fed)
            if not isinstance(answer, Failure):
                return answer
        return tf.function(function, autograph=False)(fed)
    return compiled(function, mode, fed)(fed)


def comparisons(call: Call, found: Any, fed: Fed, dtype: str, wider: dict[str, Array]) -> Iterator[Comparison]:
    """Compares each tensor of a call with the right one.

    Args:
        wider: by name, a larger T, from the layer's own formula.
    """
    names = names_of(call)
    for name, right in fed.right.items():
        tolerance = fed.tolerances.get(name, 2 * Units.of(dtype).out * np.abs(right))
        if name in wider:
            tolerance = np.maximum(tolerance, wider[name])
        got = found if isinstance(found, Failure) else found.get(name)
        expected = dtype if name[0] == "d" or call.is_layer else getattr(getattr(got, "dtype", None), "name", dtype)
        if name.startswith("new") or (name[0] == "y" and not isinstance(found, Failure)):
            # statistics, and outputs of layers with their own dtype
            expected = getattr(getattr(got, "dtype", None), "name", dtype)
        yield compare(names.get(name, name), got, right, tolerance, expected)


def has_few_digits(found: Comparison) -> bool:
    """Whether a float64 result differs as by a float32 constant: by less than float32's unit roundoff."""
    return not found.agrees and found.relative_error <= UNIT_ROUNDOFF["float32"]


def names_of(call: Call) -> dict[str, str]:
    """Returns the tensors' names in a report, by the names of `run_call`: y, dx, dkernel, new moving_mean."""
    several_in, several_out = len(call.takes) > 1, len(call.makes) > 1
    names = {f"y{i}": f"y{i}" if several_out else "y" for i in range(len(call.makes))}
    names.update({f"dx{i}": f"dx{i}" if several_in else "dx" for i in range(len(call.takes))})
    variables = call.operation.variables if call.is_layer else []
    own = [v.name for v in variables]
    for i, v in enumerate(variables):
        inner = v.path.split("/")[-2:] if own.count(v.name) > 1 else [v.name]
        named = " ".join(inner)
        names |= {f"d {i}": f"d{named}", f"new {i}": f"new {named}"}
    return names
