"""The checkers that judge a gradient: this checker, TensorFlow's own, PyTorch's, JAX's, and a flat tolerance."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

from gradient_mutants import peers
from gradient_mutants.kind import Kind
from tfbp.checking.api import check_gradients
from tfbp.checking.report import Report
from tfbp.errors import InputError

DTYPES = ("float64", "float32", "bfloat16", "float16")
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
FLAT = 1e-3  # the tolerance that both are used with
NUMPY = {"float64": np.float64, "float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}

logging.getLogger("tensorflow").setLevel("ERROR")


@dataclass(frozen=True)
class Answer:
    """A contestant's verdict: by dtype, whether something is wrong; the seconds it took; its report, if it has one."""

    wrong: dict[str, bool]
    seconds: float
    report: Report | None = None


def this_checker(kind: Kind, function: Any, inputs: list[np.ndarray], modes: Any = ("eager",)) -> Answer:
    start = time.perf_counter()
    try:
        report = check_gradients(function, inputs, oracle=kind.oracle, dtypes=DTYPES, modes=modes)
    except InputError as error:
        return Answer(dict.fromkeys(DTYPES, True), time.perf_counter() - start, Report(str(error)))
    # a finding in float64 counts in every dtype: all are compared with it
    found = {d: any({d, "float64"} & set(f.dtype.split(", ")) for f in report.findings) for d in DTYPES}
    return Answer(found, time.perf_counter() - start, report)


def compute_gradient(kind: Kind, function: Any, inputs: list[np.ndarray]) -> Answer:
    """Checks by tf.test.compute_gradient, and the usual assertion that its two Jacobians differ by less than 1e-3."""

    def wrong(dtype: str) -> bool:
        floats, call = _floats(function, inputs, dtype)
        theory, numbers = tf.test.compute_gradient(call, floats)
        return not all(
            bool((np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)) < FLAT).all())
            for a, b in zip(theory, numbers, strict=True)
        )

    return _timed(wrong)


def flat_allclose(kind: Kind, function: Any, inputs: list[np.ndarray]) -> Answer:
    """Checks by np.allclose with rtol = atol = 1e-3 against autodiff of the forward, the upstream gradient being 1."""

    def wrong(dtype: str) -> bool:
        floats, call = _floats(function, inputs, dtype)
        _, oracle = _floats(kind.oracle or kind.forward, inputs, dtype)
        got, right = _gradients(call, floats), _gradients(oracle, floats)
        return not all(
            np.allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=FLAT, atol=FLAT)
            for a, b in zip(got, right, strict=True)
        )

    return _timed(wrong)


def peer(refuses: Callable[..., bool]) -> Callable[..., Answer]:
    """Returns another framework's checker as a contestant, on the same forward and backward."""

    def contestant(kind: Kind, function: Any, inputs: list[np.ndarray]) -> Answer:
        def wrong(dtype: str) -> bool:
            floats, forward = _floats(kind.forward, inputs, dtype)

            def backward(floats: list[tf.Tensor], dy: tf.Tensor) -> tuple[Any, ...]:
                gradients = _of_floats(partial(function.backward, dy), inputs)(*floats)
                if len(gradients) != len(inputs):  # for the framework to refuse
                    return gradients
                return tuple(g for g, each in zip(gradients, inputs, strict=True) if each.dtype.kind == "f")

            return refuses(forward, backward, floats)

        return _timed(wrong)

    return contestant


def visible(kind: Kind, backward: Any, inputs: list[np.ndarray], dtype: str) -> bool:
    """Whether a mistake moves a gradient by more than 16 roundings of the dtype, in the 2-norm; a wrong shape does."""
    floats, call = _floats(kind.function(backward), inputs, "float64")
    _, right = _floats(kind.function(), inputs, "float64")
    upstream = np.random.default_rng(5).uniform(0.5, 1.5, tuple(right(*floats).shape))
    upstream *= np.random.default_rng(6).choice([-1.0, 1.0], upstream.shape)
    try:
        got, expected = _gradients(call, floats, upstream), _gradients(right, floats, upstream)
        for a, b in zip(got, expected, strict=True):
            if a is None or a.shape != b.shape or a.dtype != b.dtype:
                return True
            size = max(float(np.linalg.norm(b)), 1e-30)
            if not float(np.linalg.norm(a - b)) <= 16 * ROUNDOFF[dtype] * size:
                return True
    except Exception:  # a backward that raises is seen by all
        return True
    return False


def _floats(function: Any, inputs: list[np.ndarray], dtype: str) -> tuple[list[tf.Tensor], Callable[..., Any]]:
    """Returns the float inputs in the dtype, and the function of these alone."""
    floats = [tf.constant(tensor.astype(NUMPY[dtype])) for tensor in inputs if tensor.dtype.kind == "f"]
    return floats, _of_floats(function, inputs)


def _of_floats(function: Any, inputs: list[np.ndarray]) -> Callable[..., Any]:
    """Returns the function of its float inputs alone."""

    def call(*floats: Any) -> Any:
        given = iter(floats)
        return function(*(next(given) if tensor.dtype.kind == "f" else tf.constant(tensor) for tensor in inputs))

    return call


def _gradients(function: Any, floats: list[tf.Tensor], upstream: Any = None) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch(floats)
        output = function(*floats)
    dy = None if upstream is None else tf.constant(upstream, output.dtype)
    gradients = tape.gradient(output, floats, output_gradients=dy)
    return [None if gradient is None else tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def _timed(wrong: Callable[[str], bool]) -> Answer:
    start, verdicts = time.perf_counter(), {}
    for dtype in DTYPES:
        try:
            verdicts[dtype] = wrong(dtype)
        except Exception:  # a person would see it, whatever it is
            verdicts[dtype] = True
    return Answer(verdicts, (time.perf_counter() - start) / len(DTYPES))


CONTESTANTS: dict[str, Callable[..., Answer]] = {
    "tfbp": this_checker,
    "tf.test.compute_gradient": compute_gradient,
    "allclose": flat_allclose,
    **{name: peer(refuses) for name, refuses in peers.installed().items()},
}
