"""Tolerances of `linear_cross_entropy`: the allowed distance of loss and gradients from float64's.

N tokens, I inputs, O outputs; x (N, I), kernel (I, O), logits, p and target (N, O), losses and weight (N,).
Names are the reference's; t_name is the tolerance of name. u is the unit roundoff of the computation, u_out of results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.agreement.problems import numpy_dtype, round_to
from tfbp.agreement.programs import Cell, Named, Result, SuiteCase, Topic, run_trials
from tfbp.agreement.tolerances import monte_carlo
from tfbp.judging.diagnosis import Clues
from tfbp.judging.tolerances import Units
from tfbp.losses import linear_cross_entropy
from tfbp.reference.linear_cross_entropy import linear_cross_entropy_backward, linear_cross_entropy_forward

SCOPE = "linear cross-entropy"
_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothing and ignore_index": {"label_smoothing": 0.3, "ignore_index": 4},
    "z_loss and soft_cap": {"z_loss": 0.2, "soft_cap": 1.5},
}
_DLOSS = -1.75  # the upstream gradient: signed, and not 1


def run_linear_cross_entropy(dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """The loss and its gradients with each option, in chunks and a remainder, with and without bias and weights."""
    trials = [_trial(name, options, dtype, tf32) for name, options in _OPTIONS.items()]
    return run_trials(trials, SCOPE, Cell(None, dtype, mode, device, tf32))


def _trial(name: str, options: dict[str, Any], dtype: str, tf32: bool) -> SuiteCase:
    rng = np.random.default_rng(11)
    arrays = {
        "x": round_to(rng.normal(size=(13, 7)), dtype),
        "kernel": round_to(rng.normal(size=(7, 11)), dtype),
        "bias": round_to(rng.normal(size=11), dtype),
    }
    labels, weight = rng.integers(0, 11, 13), round_to(rng.normal(size=13), dtype)
    if name == "plain":
        del arrays["bias"]
    keywords = {"bias": arrays.get("bias"), "sample_weight": weight, **options}
    right = expected(dtype, _DLOSS, arrays["x"], arrays["kernel"], labels, tf32=tf32, **keywords)
    given = ["loss", *(f"d{name}" for name in ("x", "kernel", "bias"))]
    values = {n: v for n, v in zip(given, right.values, strict=True) if v is not None}
    limits = {n: t for n, t in zip(given, right.tolerances, strict=True) if t is not None}

    def run(fed: Named) -> Named:
        sources = {n: fed[n] for n in arrays}
        with tf.GradientTape() as record:
            record.watch(sources)
            loss = linear_cross_entropy(
                sources["x"],
                sources["kernel"],
                fed["labels"],
                bias=sources.get("bias"),
                sample_weight=fed["sample_weight"],
                chunk_size=5,
                **options,
            )
        gradients = record.gradient(loss, sources, tf.constant(_DLOSS, loss.dtype))
        return {"loss": loss, **{f"d{n}": gradient for n, gradient in gradients.items()}}

    fed = {n: a.astype(numpy_dtype(dtype)) for n, a in {**arrays, "sample_weight": weight}.items()}
    wide = "float64" if dtype == "float64" else "float32"
    sizes = {"N": 13, "O": 11}
    return SuiteCase(
        Topic(f"linear_cross_entropy {name}"),
        "linear_cross_entropy",
        "manual",
        run,
        {**fed, "labels": labels},
        values,
        limits,
        {"loss": wide},
        {n: partial(Clues, {"dloss is left out": v / _DLOSS}, sizes=sizes) for n, v in values.items()},
    )


@dataclass(frozen=True)
class Expected:
    """Returns the loss, dx, dkernel and dbias (None without bias) in float64, and a tolerance for each."""

    values: list[np.ndarray | None]
    tolerances: list[np.ndarray | None]


def expected(dtype: str, dloss: float, x, kernel, labels, *, bias=None, tf32=False, **options) -> Expected:
    """Returns the right results for arguments rounded to `dtype`, in float64 arrays, and their tolerances.

    Example:
        >>> found = expected("float32", 1.0, np.ones((1, 2)), np.zeros((2, 2)), np.array([0]))
        >>> [value.tolist() for value in found.values[1:3]], bool(found.tolerances[0] < 2**-18)
        ([[[0.0, 0.0]], [[-0.5, 0.5], [-0.5, 0.5]]], True)
    """
    out = Units.of(dtype, tf32=tf32)
    units = replace(out, out=out.loss)  # no intermediate result is narrower than float32

    def answers(on: Callable[[np.ndarray], Any]) -> Named:
        given = None if bias is None else on(bias)
        loss, residuals = linear_cross_entropy_forward(on(x), on(kernel), labels, bias=given, **options)
        dx, dkernel, dbias = linear_cross_entropy_backward(dloss, residuals)
        return {"loss": loss, "dx": dx, "dkernel": dkernel, **({} if bias is None else {"dbias": dbias})}

    exact = answers(lambda array: array)
    limits = monte_carlo.sensitivity(lambda rounding: answers(rounding.on), exact, units)
    stored = {"loss": 0.0}
    values, tolerances = [], []
    for name in ("loss", "dx", "dkernel", "dbias"):
        values.append(exact.get(name))
        if name in exact:
            limits[name] = limits[name] + (2 * units.out + stored.get(name, out.out)) * np.abs(exact[name])
        tolerances.append(limits.get(name))
    return Expected(values, tolerances)
