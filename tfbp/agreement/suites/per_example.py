"""Each example's own gradient: a writing's results, and their tolerances from the reference's.

The errors of x and dz are those of the whole pass (`running_error`); here they are carried through the norm of an outer
product, the clipping, and the moments. First order, but at the bound of the norm both sides are looked at.

B batch, I inputs, O outputs of a layer, L layers; x (B, I), dz (B, O).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tfbp import manual, reference, tape
from tfbp.agreement.cases import shape_cases
from tfbp.agreement.problems import Case, Problem, numpy_dtype, problem
from tfbp.agreement.programs import Cell, Result, SuiteCase, run_trials
from tfbp.agreement.tolerances.running_error import dense_backward_error, errors_along_the_pass
from tfbp.judging.diagnosis import Clues
from tfbp.judging.tolerances import UNDERFLOW, UNIT_ROUNDOFF, Units
from tfbp.network import Network
from tfbp.reference.regularizers import penalty_backward

Array = np.ndarray
SCOPE = "per example"
# penalties, no bias, depth, one example; a bound through five layers is too wide in 8 or 11 bits
_CASES = ("regularized", "no-bias", "deep5", "one-sample")


def per_example_cases() -> list[Case]:
    """Penalties, no bias, depth, one example."""
    return [case for case in shape_cases() if case.name.startswith(_CASES)]


def run_per_example(cases: list[Case], dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Norms, clipping and moments of the cases by manual; by the tape, whose vectorized_map takes seconds to compile,
    in float64 and graph mode alone."""
    trials = [
        _trial(case, writing, dtype, tf32, device)
        for case in cases
        for writing in ("manual", "tape")
        if (writing == "manual" or (dtype, mode, case.name[:4]) == ("float64", "graph", "regu"))
        and (dtype in ("float64", "float32") or not case.name.startswith("deep5"))
    ]
    return run_trials(trials, SCOPE, Cell(None, dtype, mode, device, tf32))


def _trial(case: Case, writing: str, dtype: str, tf32: bool, device: str) -> SuiteCase:
    network, numbers = case.network, problem(case, dtype)
    clip, units = clip_of(network, numbers), Units.of(dtype, writing, tf32, device)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    expected = answers(reference, network, arguments, clip)
    wide = "float64" if dtype == "float64" else "float32"
    fed: dict[str, Any] = {
        "x": numbers.x.astype(numpy_dtype(dtype)),
        "sample_weight": numbers.sample_weight.astype(wide),
    }
    fed["y"] = numbers.y if numbers.y.dtype.kind == "i" else numbers.y.astype(wide)
    parameters = [{name: w.astype(numpy_dtype(dtype)) for name, w in layer.items()} for layer in numbers.parameters]
    room = {"manual": manual, "tape": tape}[writing]
    kept = {"norms": wide, "clipped": dtype}
    return SuiteCase(
        case,
        SCOPE,
        writing,
        lambda fed: answers(room, network, (parameters, fed["x"], fed["y"], fed["sample_weight"]), clip),
        fed,
        expected,
        tolerances(network, numbers, clip, units, stored=units.out if writing == "tape" else 0.0),
        {name: kept.get(name.split()[0], "float64") for name in expected},
        {name: partial(_clues, name, network, arguments, clip, expected) for name in expected},
    )


def _clues(name: str, network: Network, arguments: Any, clip: float, right: dict[str, Any]) -> Clues:
    """The values of a tensor of `answers` under common mistakes."""
    kind, _, tensor = name.partition(" ")
    parameters, x, y, weight = arguments
    mistakes: dict[str, Array] = {}
    if kind == "norms":
        examples = reference.per_example.example_gradients(network, *arguments)
        flat = [layer["kernel"].reshape(len(x), -1) for layer in examples]
        mistakes["the bias' gradient is left out"] = np.stack([np.linalg.norm(g, axis=1) for g in flat], axis=1)
    elif kind == "clipped":
        _, plain = reference.loss_and_gradients(network, *arguments)
        mistakes["no example is clipped"] = _named("", plain)[f" {tensor}"]
        for i in range(len(network.layers)):
            factors = np.minimum(1, clip / np.maximum(right["norms"][:, i], 1e-300))
            _, by_one = reference.loss_and_gradients(network, parameters, x, y, factors * weight)
            mistakes[f"clipped by the norm of layer {i} alone"] = _named("", by_one)[f" {tensor}"]
    elif kind == "variance":
        mistakes["not centred: the mean of the squares"] = right[name] + right[f"mean {tensor}"] ** 2
    return Clues(mistakes, sizes={"B": len(x)}, summed=len(x))


def answers(writing: Any, network: Network, arguments: Any, clip: float) -> dict[str, Any]:
    """All results of a writing for the examples' own gradients, by name; `arguments` as of loss_and_gradients."""
    parameters, x, y, sample_weight = arguments
    room = writing.per_example
    _, clipped = room.loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight)
    mean, variance = room.gradient_mean_and_variance(network, parameters, x, y, sample_weight)
    return {
        "norms": room.gradient_norms(network, parameters, x, y, sample_weight),
        **_named("clipped", clipped),
        **_named("mean", mean),
        **_named("variance", variance),
    }


def clip_of(network: Network, numbers: Problem) -> float:
    """A bound that clips about half of the examples: the median norm, moved off any example's own."""
    norms = reference.per_example.gradient_norms(
        network, numbers.parameters, numbers.x, numbers.y, numbers.sample_weight
    )
    return 0.9 * float(np.median(np.linalg.norm(norms, axis=1)))


def tolerances(network: Network, numbers: Problem, clip: float, units: Units, stored: float = 0.0) -> dict[str, Array]:
    """T of every tensor of `answers`; `stored` is the unit roundoff to which a writing stores each g_b, if it does."""
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    _, _, tensors = reference.loss_gradients_and_tensors(network, *arguments)
    _, _, errors = errors_along_the_pass(network, numbers.parameters, tensors, numbers.y, numbers.sample_weight, units)
    norms = reference.per_example.gradient_norms(network, *arguments)
    layers = list(zip(network.layers, tensors, errors, strict=False))
    error_norms = np.stack([_norm_error(*layer, units) for layer in layers], axis=1) + stored * norms
    factors, error_factors = _factors(norms, error_norms, clip, units)

    clipped, means, variances = [], [], []
    for (layer, tensor, error), weights in zip(layers, numbers.parameters, strict=True):
        dz, error_dz = tensor["dz"], error["dz"]
        # dz is multiplied by its factor, and stored
        moved = error_factors * np.abs(dz) + factors * error_dz + units.out * factors * np.abs(dz) + units.underflow
        carried = dense_backward_error(factors * dz, tensor["x"], weights["kernel"], units, moved, error["x"])
        clipped.append({name: carried[f"d{name}"] + _penalty_error(layer, name, weights, units) for name in weights})
        gradients = {"kernel": _outer(tensor, error), "bias": (len(dz) * dz, len(dz) * error_dz)}
        pairs = {name: (g, error_g + stored * np.abs(g)) for name, (g, error_g) in gradients.items()}
        means.append({name: _mean_error(*pairs[name]) for name in weights})
        variances.append({name: _variance_error(*pairs[name]) for name in weights})
    return {
        "norms": error_norms,
        **_named("clipped", clipped),
        **_named("mean", means),
        **_named("variance", variances),
    }


def _norm_error(layer: Any, tensor: dict[str, Array], error: dict[str, Array], units: Units) -> Array:
    """Of B · √(‖x‖² + 1) · ‖dz‖; the squares are summed in float32 or wider."""
    inputs = np.sqrt((tensor["x"] ** 2).sum(axis=1) + layer.use_bias)
    size = np.linalg.norm(tensor["dz"], axis=1)
    wide = UNDERFLOW["float64" if units.loss == UNIT_ROUNDOFF["float64"] else "float32"]
    moved = np.linalg.norm(error["dz"], axis=1) + np.sqrt(tensor["dz"].shape[1] * wide)
    carried = inputs * moved + np.linalg.norm(error["x"], axis=1) * (size + moved)
    return len(size) * (carried + 8 * units.loss * inputs * size)


def _factors(norms: Array, errors: Array, clip: float, units: Units) -> tuple[Array, Array]:
    total, moved = (np.linalg.norm(a, axis=1, keepdims=True) for a in (norms, errors))

    def factor(at: Array) -> Array:
        return np.minimum(1.0, clip / np.maximum(at, 1e-300))

    here = factor(total)
    spread = np.maximum(np.abs(factor(total + moved) - here), np.abs(factor(total - moved) - here))
    return here, spread + 8 * units.loss * here


def _outer(tensor: dict[str, Array], error: dict[str, Array]) -> tuple[Array, Array]:
    """g_b of the kernel, (B, I, O), and its error."""
    x, dz = tensor["x"], tensor["dz"]
    gradient = len(x) * x[:, :, None] * dz[:, None, :]
    largest = (np.abs(x) + error["x"])[:, :, None] * (np.abs(dz) + error["dz"])[:, None, :]
    return gradient, len(x) * largest - np.abs(gradient)


def _mean_error(gradients: Array, errors: Array) -> Array:
    return (errors + 8 * UNIT_ROUNDOFF["float64"] * np.abs(gradients)).mean(axis=0)


def _variance_error(gradients: Array, errors: Array) -> Array:
    """Of Σ g² / B - mean²: 2 |cov(g, e)| + var(e), and the cancellation in float64."""
    deviations = np.abs(gradients - gradients.mean(axis=0))
    cancelled = 16 * UNIT_ROUNDOFF["float64"] * (gradients**2).mean(axis=0)
    return (2 * deviations * errors + errors**2).mean(axis=0) + cancelled


def _penalty_error(layer: Any, name: str, weights: Any, units: Units) -> Any:
    regularizer = getattr(layer, f"{name}_regularizer")
    return 0.0 if regularizer is None else 8 * units.out * np.abs(penalty_backward(regularizer, weights[name]))


def _named(what: str, layers: Any) -> dict[str, Any]:
    return {f"{what} layer {i} d{name}": dw for i, layer in enumerate(layers) for name, dw in layer.items()}
