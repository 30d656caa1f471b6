"""The same backward in every dtype and mode: eager, graph, graph of an unknown batch, XLA; each against float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.hypotheses import Hypotheses
from tfbp.checking.questions import constants, kinks
from tfbp.checking.report import Report
from tfbp.checking.subject import Program
from tfbp.checking.trial import Trial, arrays
from tfbp.judging.arrays import as_float64
from tfbp.judging.comparison import compare
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tf32 import tf32_enabled
from tfbp.judging.tolerances import UNIT_ROUNDOFF

UNKNOWN_BATCH = "graph, batch unknown"


def examine(trial: Trial, report: Report, dtypes: Sequence[str], modes: Sequence[str], oracle: Program | None) -> None:
    """Run every cell but the first, which the vote has judged, and compare it with the widest type's eager run."""
    drawn = constants.draws(trial.program)
    for done, dtype in enumerate(dtypes):
        program = trial.program if dtype == trial.program.dtype else trial.subject.at(dtype)
        if isinstance(program, Failure):
            trial.notes.append(f"{dtype}: not run, because it raises {program.sentence}")
            continue
        program.seeded, program.seed = trial.program.seeded, trial.program.seed
        program.values = program.values if program.variables else trial.values
        values = trial.rounded(trial.values, dtype)
        upstream = trial.rounded(trial.upstream, dtype)
        if dtype == trial.program.dtype:
            outputs, gradients, tolerances = trial.outputs, trial.gradients, trial.tolerances
        else:
            wide = attempt(trial.program.run, values, upstream)
            if isinstance(wide, Failure):
                continue
            outputs, gradients = arrays(wide[0]), arrays(wide[1])
            tolerances = trial.noise.tolerances(dtype, values, upstream, (outputs, gradients))
        _visible(trial, report, dtype, gradients, tolerances[1])
        hints = Hypotheses(trial.program, values, upstream, gradients, oracle)
        for j, mode in enumerate(each := list(_modes(modes))):
            trial.progress(0.4 + 0.6 * (done + j / len(each)) / len(dtypes), f"{dtype}, {mode}")
            if (dtype, mode) == (trial.program.dtype, "eager"):
                report.worst[f"{dtype} eager"] = trial.worst
                continue
            if mode != "eager" and program.seeded:
                trial.notes.append(f"{mode}: not compared, because its random numbers are its own")
                continue
            run = attempt(_made, program, mode, values, upstream)
            if run is None:
                continue
            answer = run if isinstance(run, Failure) else attempt(run, values, upstream)
            if isinstance(answer, Failure) and mode in ("graph", "xla"):
                forward = attempt(_forward, program, mode, values)
                if isinstance(forward, Failure):
                    trial.notes.append(
                        f"{dtype}, {mode}: not run, because the forward itself raises {forward.sentence}"
                    )
                    continue
            if drawn and not isinstance(answer, Failure) and not _same_forward(answer[0], outputs, tolerances[0]):
                trial.notes.append(f"{dtype}, {mode}: not compared, because it draws other random numbers")
                continue
            _compare(trial, report, (dtype, mode), answer, (outputs, gradients), tolerances, hints)
            if dtype == trial.program.dtype and not isinstance(run, Failure):
                kinks.in_mode(trial, run, mode)
        if trial.on_gpu and dtype == "float32":
            with tf32_enabled(True):
                answer = attempt(program.run, values, upstream)
            # the inputs of products are rounded to float16's digits, and nothing else is
            rounded = trial.noise.tolerances("float16", values, upstream, (outputs, gradients))
            _compare(trial, report, (dtype, "eager, TF32"), answer, (outputs, gradients), rounded, hints)


def _modes(modes: Sequence[str]) -> Iterator[str]:
    for mode in modes:
        yield mode
        if mode == "graph":
            yield UNKNOWN_BATCH


def _made(program: Program, mode: str, values: Any, upstream: Any) -> Any:
    """The function that runs the program in a mode; None where the forward itself needs the size of the batch."""
    if mode == "eager":
        return program.run
    program.restore()
    tensors, dy = program.tensors(values), program.upstream(upstream)
    arguments: Any = (tensors, dy)
    if mode == UNKNOWN_BATCH:
        arguments = _unknown_batch(program, tensors), [tf.TensorSpec(None, u.dtype) for u in dy]
        forward = tf.function(program.forward, autograph=False)
        if isinstance(attempt(forward.get_concrete_function, *arguments[0]), Failure):
            return None
    traced = tf.function(program.backward, autograph=False, jit_compile=True if mode == "xla" else None)
    concrete = traced.get_concrete_function(*arguments)

    def run(values: Any, upstream: Any) -> Any:
        program.restore()
        found = concrete(program.tensors(values), program.upstream(upstream))
        program.restore()
        return found

    return run


def _forward(program: Program, mode: str, values: Any) -> Any:
    """The forward alone in a graph."""
    traced = tf.function(program.forward, autograph=False, jit_compile=True if mode == "xla" else None)
    return traced(*program.tensors(values))


def _same_forward(outputs: Any, expected: Any, tolerances: Any) -> bool:
    """Whether the forward values are those expected, but for roundings and what comes of them."""
    pairs = zip(arrays(outputs), expected, tolerances, strict=True)
    return all(a.shape == b.shape and bool((np.abs(a - b) <= 16 * t).all()) for a, b, t in pairs)


def _unknown_batch(program: Program, tensors: list[tf.Tensor]) -> list[tf.TensorSpec]:
    """The first output's first axis is the batch, and so is that of every input as long; else the first input's.

    So an embedding's table, or a kernel, keeps its size.
    """
    lengths = [t.shape[0] if t.shape.rank else None for t in tensors]
    batch = program.shapes[0][0] if program.shapes[0] else None
    if batch not in lengths and lengths:
        first = [*program.subject.differentiable, 0][0]
        batch = lengths[first]
    return [
        tf.TensorSpec([None, *t.shape[1:]] if batch and t.shape.rank and t.shape[0] == batch else t.shape, t.dtype)
        for t in tensors
    ]


def _compare(
    trial: Trial, report: Report, place: tuple[str, str], made: Any, right: Any, tolerances: Any, hints: Hypotheses
) -> None:
    dtype, mode = place
    key = f"{dtype} {mode}"
    report.worst[key] = 0.0
    if isinstance(made, Failure):
        trial.find("every argument", "", f"the backward raises {made.sentence}", "mode", dtype=dtype, mode=mode)
        return
    outputs, gradients = made
    for k, (got, expected, tolerance) in enumerate(zip(outputs, right[0], tolerances[0], strict=True)):
        name = "output" if len(outputs) == 1 else f"output {k}"
        comparison = compare(name, got, expected, _wider(tolerance, mode), got.dtype.name)
        report.worst[key] = max(report.worst[key], comparison.ratio)
        if not comparison.agrees:
            cause = f"the forward value is another{': ' + comparison.cause if comparison.cause else ''}"
            trial.find(name, comparison.extent, cause, "mode", comparison.ratio, dtype=dtype, mode=mode)
    for i, name in enumerate(trial.program.names):
        got, expected = gradients[i], right[1][i]
        if expected is None and got is None:
            continue
        if expected is None or trial.gradients[i] is None:
            if name in trial.refuted:
                continue
            trial.find(name, "", f"a gradient in {dtype}, {mode}, and none otherwise", "mode", dtype=dtype, mode=mode)
            continue
        expected_dtype = dtype if i < len(trial.subject.differentiable) else getattr(got, "dtype", tf.float64).name
        clues = None if name in trial.refuted else hints.clues(i)
        comparison = compare(name, got, expected, _wider(tolerances[1][i], mode), expected_dtype, clues)
        if name in trial.refuted:
            # wrong here too, in the same way: the finding holds in more places
            if comparison.agrees:
                _also(trial, name, dtype, mode)
            continue
        report.worst[key] = max(report.worst[key], comparison.ratio)
        if comparison.agrees:
            _size(trial, name, place, as_float64(got), expected, tolerances[2][i])
        else:
            trial.find(name, comparison.extent, comparison.cause, "mode", comparison.ratio, dtype=dtype, mode=mode)


def _size(trial: Trial, name: str, place: tuple[str, str], got: Any, expected: Any, tolerance: float) -> None:
    """Elements that are all within their tolerances, and too large together: a factor that their roundings hide."""
    norm = float(np.vdot(expected, expected))
    if expected.size < 8 or not norm:
        return
    off = float(np.vdot(got - expected, expected)) / norm
    ratio = abs(off) / (2 * tolerance if place[1] == "xla" else tolerance)
    if not ratio <= 1:
        more = "large" if off > 0 else "small"
        text = f"together its elements are too {more} by {abs(off):.1%}, each within its roundings"
        trial.find(name, text, "a factor close to 1", "mode", ratio, dtype=place[0], mode=place[1])


def _wider(tolerance: Any, mode: str) -> Any:
    """A compiler may take sums and functions in another order, and by other approximations."""
    return tolerance if mode != "xla" else 2 * tolerance


def _also(trial: Trial, name: str, dtype: str, mode: str) -> None:
    for finding in list(trial.findings):
        if finding.argument == name and finding.mode == "eager" and finding.dtype == trial.program.dtype:
            trial.find(name, finding.where, finding.cause, finding.kind, finding.ratio, dtype=dtype, mode=mode)


def _visible(trial: Trial, report: Report, dtype: str, gradients: Any, tolerances: Any) -> None:
    """The median tolerance relative to the gradient's root mean square: what an error must exceed to be seen."""
    for name, gradient, tolerance in zip(trial.program.names, gradients, tolerances, strict=True):
        if gradient is not None and gradient.any() and name not in trial.refuted:
            typical = float(np.sqrt(np.mean(gradient**2)))
            share = float(np.median(np.broadcast_to(tolerance, gradient.shape))) / typical
            report.visible.setdefault(dtype, {})[name] = max(share, UNIT_ROUNDOFF[dtype])
