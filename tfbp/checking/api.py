"""A verdict on a gradient: `check_gradients`, and `assert_gradients_agree` for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.questions import (
    audit,
    contract,
    kinks,
    modes,
    repeats,
    second_order,
    twins,
    upstream,
    vote,
)
from tfbp.checking.questions import constants as constants_of
from tfbp.checking.report import Report, in_order
from tfbp.checking.subject import Program, Subject, oracle_of
from tfbp.checking.trial import Trial
from tfbp.errors import InputError, check_choice, check_integer
from tfbp.judging.failures import Failure
from tfbp.judging.tf32 import tf32_enabled
from tfbp.judging.tolerances import UNIT_ROUNDOFF

DTYPES = ("float64", "float32", "bfloat16", "float16")
MODES = ("eager", "graph", "xla")


def check_gradients(
    function: Callable[..., Any],
    inputs: Any,
    *,
    oracle: Callable[..., Any] | None = None,
    reference: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    modes: Sequence[str] = MODES,
    device: str | None = None,
    seed: int = 0,
    second_order: bool = False,
    auto_perturb: bool = False,
    constants: Sequence[str] | str = (),
    progress: Callable[[float, str], None] | None = None,
) -> Report:
    """Check the gradient of any function: is it right, which argument's is wrong, where, and the likely mistake.

    Args:
        function: a callable of tensors, a tf.custom_gradient, a Keras layer or model, a Keras loss. Inputs and outputs
            may be nested. Trainable variables, a layer's or closed over, are checked as inputs are; state is put back.
        inputs: its positional arguments, arrays or nests of arrays. Floats are differentiated; integers and Booleans
            are handed on.
        oracle: a twin that autodiff differentiates as the function should be. A tf.custom_gradient has one in itself:
            autodiff of its own body.
        reference: a NumPy float64 twin, of the same inputs.
        dtypes: in which it is run, of float64, float32, bfloat16 and float16. modes: of eager, graph and xla.
        device: where, e.g. "cpu" or "gpu"; TensorFlow's choice if None. TF32 is off; a GPU runs float32 with it, too.
        seed: of directions and upstream gradients, and of the function's own random numbers where it has any.
        second_order: also the gradient of the gradient, and forward mode.
        auto_perturb: mend a test point that could not show a mistake.
        constants: the names of inputs of floats that are data, as a loss's labels: they get no gradient.
        progress: called with the share that is done and what is next.

    Raises:
        InputError: where nothing can be judged: no float input, no gradient at all, an oracle of other outputs, …

    Example:
        >>> @tf.custom_gradient
        ... def square(x):
        ...     return x * x, lambda dy: dy * x
        >>> report = check_gradients(square, [np.array([0.5, -2.0, 3.0])], dtypes=["float64"], modes=["eager"])
        >>> report.agrees, report.findings[0].argument, report.findings[0].cause
        (False, 'x', 'a factor ½ too many, or 2 missing')

    Reference: Griewank and Walther, Evaluating Derivatives (2008).
    """
    dtypes, modes_ = _several("dtypes", dtypes, DTYPES), _several("modes", modes, MODES)
    if device is not None:
        _check_device(device)
    check_integer("seed", seed)
    if progress is not None and not callable(progress):
        raise InputError(f"progress: got {progress!r}; accepted: a function of the share and what is next.")
    with tf.device(f"/{device.upper()}:0") if device else nullcontext(), tf32_enabled(False):
        subject = Subject(function, inputs, constants)
        trial, widest = _trial(subject, seed, auto_perturb, dtypes)
        report = Report(str(getattr(function, "__name__", None) or getattr(function, "name", type(function).__name__)))
        trial.progress = progress or trial.progress
        if widest:
            trial.notes.append(widest)
        trial.on_gpu = has_gpu() and (device is None or device.lower() == "gpu")
        _examine(trial, report, oracle, reference, dtypes, modes_, second_order)
        trial.program.restore()
    return report


def assert_gradients_agree(function: Callable[..., Any], inputs: Any, **options: Any) -> Report:
    """`check_gradients` in a test: raises an AssertionError with the report as its text, unless everything agrees.

    Example:
        >>> assert_gradients_agree(tf.tanh, [np.array([0.5, -2.0, 3.0])], modes=["eager"]).agrees
        True
    """
    report = check_gradients(function, inputs, **options)
    if not report.agrees:
        raise AssertionError(str(report))
    return report


def _trial(subject: Subject, seed: int, auto_perturb: bool, dtypes: Sequence[str]) -> tuple[Trial, str]:
    """The program in the widest type that it runs in, and a note where that is not float64."""
    said = ""
    tried: Program | Failure = subject.at("float64")
    for dtype in DTYPES[1:]:
        if not isinstance(tried, Failure):
            break
        said = said or (
            f"it does not run in float64 ({tried.sentence}): differences in {dtype} see only large errors; where it "
            "makes a constant, give that x.dtype"
        )
        tried = subject.at(dtype)
    if not subject.differentiable and (isinstance(tried, Failure) or not tried.names):
        types = ", ".join(dict.fromkeys(str(value.dtype) for value in subject.values)) or "none"
        raise InputError(
            f"inputs: got {types}; accepted: at least one input of floating-point numbers, or trainable variables."
        )
    if isinstance(tried, Failure):
        failure = subject.at("float64")
        sentence = failure.sentence if isinstance(failure, Failure) else tried.sentence
        raise InputError(f"function: got {sentence}; accepted: a function that runs on these inputs.")
    rng = np.random.default_rng(seed)
    tried.seed = seed
    values = tried.values
    notes = []
    if auto_perturb:
        values, changed = audit.mended(_names(subject, tried), values, rng)
        if changed:
            notes.append(f"the test point was mended: {', '.join(changed)}")
    # numbers that every dtype holds exactly: one truth serves them all
    narrow = max(dtypes, key=lambda d: UNIT_ROUNDOFF[d])
    drawn = [rng.uniform(0.5, 1.5, s) * rng.choice([-1.0, 1.0], s) for s in tried.shapes]
    trial = Trial(subject, tried, values, drawn, rng)
    trial.upstream = [u for u in trial.rounded(drawn, narrow)]
    trial.notes += notes
    return trial, said


def _examine(trial: Trial, report: Report, oracle: Any, reference: Any, dtypes: Any, modes_: Any, more: bool) -> None:
    program, subject = trial.program, trial.subject
    own = oracle is None
    body = oracle_of(subject.function) if own else oracle
    twin = _twin(subject, body, program, own) if body is not None else None
    if repeats.examine(trial) and contract.examine(trial, twin is not None or reference is not None):
        if twin is not None and not own:
            twins.check_oracle(trial, twin)
        trial.tolerances = trial.noise.tolerances(
            program.dtype, trial.values, trial.upstream, (trial.outputs, trial.gradients)
        )
        upstream.examine(trial)
        of_reference = twins.Reference(trial, reference) if reference is not None else None
        rounded = constants_of.rounded(program)
        trial.unit = max(trial.unit, constants_of.inner_unit(program))
        twins.forward(trial, twin, of_reference, own, "".join(f": {each}" for each in rounded[:1]))
        trial.progress(0.1, "against differences")
        vote.gradients(trial, twin, of_reference, own)
        if not any(f.kind == "forward" for f in trial.findings) and not trial.large:
            trial.progress(0.3, "on kinks")
            kinks.examine(trial, twin, own)
        trial.notes += rounded
        modes.examine(trial, report, dtypes, modes_, twin)
        if more:
            second_order.examine(trial, twin)
    complaints = audit.of_inputs(_names(subject, program), trial.values) + audit.of_gradients(
        program.names, trial.right or [None] * len(program.names)
    )
    report.grade = audit.grade(complaints)
    report.findings = in_order(trial.findings, {place.partition(" ")[2] for place in report.worst})
    if trial.crossed:
        trial.notes.append(f"{trial.crossed} of {trial.probes} probes crossed a kink: their larger steps were dropped")
    report.notes = [*(words for _, words in sorted(complaints, key=lambda c: -c[0])), *trial.notes]


def _twin(subject: Subject, body: Any, program: Program, own: bool) -> Program | None:
    """The oracle as a program, with the state of the function's own."""
    traced_twin = Failure("")
    try:
        twin = Subject(body, list(subject.arguments))
        twin.differentiable, twin.names = subject.differentiable, subject.names
        program_of_twin = twin.at(program.dtype)
        if not isinstance(program_of_twin, Failure):
            if own:
                # the same variables, in the same order
                program_of_twin.variables, program_of_twin.values, program_of_twin.where = (
                    program.variables,
                    program.values,
                    program.where,
                )
                program_of_twin.names = program.names
            program_of_twin.seeded, program_of_twin.seed = program.seeded, program.seed
            return program_of_twin
        traced_twin = program_of_twin
    except InputError as error:
        traced_twin = Failure(str(error))
    if own:
        return None
    raise InputError(
        f"oracle: got {traced_twin.sentence}; accepted: a twin of the function that runs on the same inputs."
    )


def _names(subject: Subject, program: Program) -> list[str]:
    """Of every input, then of every variable."""
    return [*subject.names, *program.names[len(subject.differentiable) :]]


def _several(argument: str, given: Any, accepted: Sequence[str]) -> tuple[str, ...]:
    names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    if not names:
        raise InputError(f"{argument}: got none; accepted: some of {', '.join(accepted)}.")
    for name in names:
        check_choice(argument, name, accepted)
    return names


def has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def _check_device(device: Any) -> None:
    seen = sorted({d.device_type.lower() for d in tf.config.list_physical_devices()})
    if isinstance(device, str) and device.lower() == "gpu" and "gpu" not in seen:
        raise InputError(f"device: got {device!r}, which TensorFlow does not find here; accepted: {', '.join(seen)}.")
    check_choice("device", device.lower() if isinstance(device, str) else device, seen)
