"""Calls of the writings' functions that no layer of a network makes: masks, states in and out, other axes, a start.

A call is data: the differentiated arrays, its other arguments, and one function for each writing. Code for large sizes
(halves of a batch, chunks of queries) runs at small ones, by `constants`.

B batch, T steps or queries, S keys, I inputs, H units; names of tensors are those of the functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference
from tfbp.agreement import clues
from tfbp.agreement.problems import numpy_dtype, round_to
from tfbp.agreement.programs import Cell, Named, Result, SuiteCase, Topic, remembered, run_trials, with_constants
from tfbp.agreement.suites.attention_calls import attentions
from tfbp.agreement.suites.call import Call
from tfbp.agreement.suites.other_calls import normalizations, others, positions
from tfbp.agreement.suites.recurrence_calls import recurrences
from tfbp.agreement.tolerances import monte_carlo
from tfbp.judging.tolerances import Units

Array = np.ndarray
SCOPE = "calls"
_WEIGHTS = {"kernel", "recurrent_kernel", "bias", "gamma", "beta", "scale", "embeddings"}


def run_calls(dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Runs every call by manual and tape, in one dtype and mode; the tape in float64 alone, as a judge."""
    cell, results = Cell(Topic("calls"), dtype, mode, device, tf32), []
    for writing in ("manual", "tape") if dtype == "float64" else ("manual",):
        results += run_trials(_all_trials(dtype, writing, device, tf32), SCOPE, cell)
    return [_laid(result, results) for result in results]


def _laid(result: Result, every: list[Result]) -> Result:
    """Returns the result; the reference's where manual and tape have the same error."""
    if result.comparison.agrees:
        return result
    distances = [r.comparison.relative_error for r in every if r.comparison.tensor == result.comparison.tensor]
    if len(distances) < 2 or not np.ptp(distances) <= 1e-9 * max(distances):
        return result
    # the numbers searched for the cause were the wrong ones
    return replace(result, pair="reference-manual", comparison=replace(result.comparison, cause=""))


@remembered
def _all_trials(dtype: str, writing: str, device: str, tf32: bool) -> list[SuiteCase]:
    units = Units.of(dtype, writing, tf32, device)
    return [trial for call in calls() for trial in _trials(call, writing, dtype, units)]


def calls() -> list[Call]:
    return [*recurrences(), *attentions(), *normalizations(), *positions(), *others()]


def trial_of_layer(call: Call, dtype: str, units: Units) -> Iterator[SuiteCase]:
    """Runs the call by its layer of tfbp.layers, if it has one."""
    if call.by_layer is not None:
        yield from _trials(call, "layers", dtype, units)


def _trials(call: Call, writing: str, dtype: str, units: Units) -> Iterator[SuiteCase]:
    if writing == "tape" and call.by_tape is None:
        return
    arrays, upstream, expected = _problem(call, dtype)
    limits = monte_carlo.sensitivity(
        lambda noise: call.by_hand(
            reference, {n: noise.on(a) for n, a in arrays.items()}, call.fixed, _on(noise, upstream)
        ),
        expected,
        units,
    )
    is_weight = {name: name in _WEIGHTS for name in arrays}
    cast = {name: a.astype(numpy_dtype(dtype)) for name, a in arrays.items()}
    fed = {
        "weights": {name: a for name, a in cast.items() if is_weight[name]},
        **{name: a for name, a in cast.items() if not is_weight[name]},
        "fixed": dict(call.fixed),
        "upstream": {name: a.astype(numpy_dtype(dtype)) for name, a in upstream.items()},
    }
    by_layer = call.by_layer(dtype, cast) if writing == "layers" and call.by_layer else None
    hints = {name: partial(clues.of_a_call, name, call, arrays, upstream) for name in expected}
    yield SuiteCase(
        Topic(call.name), call.name, writing, partial(_run, call, writing, by_layer), fed, expected, limits, clues=hints
    )


def _problem(call: Call, dtype: str) -> tuple[Named, Named, Named]:
    """Returns the arrays, an upstream gradient of each output, and the reference's answers."""
    rng = np.random.default_rng([*call.name.encode()])
    arrays = {name: round_to(rng.normal(size=shape), dtype) for name, shape in call.shapes.items()}
    outputs = call.by_hand(reference, arrays, call.fixed, {})
    upstream = {name: round_to(rng.normal(size=np.shape(y)), dtype) for name, y in outputs.items()}
    return arrays, upstream, call.by_hand(reference, arrays, call.fixed, upstream)


def _on(noise: Any, arrays: Named) -> Named:
    return {name: noise.on(a) for name, a in arrays.items()}


def _run(call: Call, writing: str, by_layer: Any, fed: Named) -> Named:
    arrays = {**{n: a for n, a in fed.items() if n not in ("weights", "fixed", "upstream")}, **fed["weights"]}
    if call.unknown and not tf.executing_eagerly():
        arrays = {n: a if n in _WEIGHTS else _of_unknown_size(a) for n, a in arrays.items()}
    if writing == "manual":
        with with_constants(call.constants):
            return call.by_hand(manual, arrays, fed["fixed"], fed["upstream"])
    run = call.by_tape if by_layer is None else by_layer
    assert run is not None
    with tf.GradientTape() as record:
        record.watch(arrays)
        outputs = run(arrays, fed["fixed"])
    upstream = [fed["upstream"][name] for name in outputs]
    gradients = record.gradient(list(outputs.values()), arrays, output_gradients=upstream)
    return {**outputs, **{f"d{name}": gradient for name, gradient in gradients.items()}}


def _of_unknown_size(a: Any) -> Any:
    return (
        tf.compat.v1.placeholder_with_default(a, [None] * (a.shape.rank - 2) + a.shape[-2:].as_list())
        if (a.shape.rank > 2)
        else a
    )
