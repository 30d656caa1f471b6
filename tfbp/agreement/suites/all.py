"""Runs the suites beside the matrix: layers, kinks and far out, each example, the fused head, Keras's fit."""

from __future__ import annotations

from collections.abc import Callable

from tfbp.agreement.programs import Result
from tfbp.agreement.suites.calls import run_calls
from tfbp.agreement.suites.keras_layers import run_keras_layers
from tfbp.agreement.suites.layers import layer_cases, run_layers
from tfbp.agreement.suites.linear_cross_entropy import run_linear_cross_entropy
from tfbp.agreement.suites.per_example import per_example_cases, run_per_example
from tfbp.agreement.suites.points import run_points
from tfbp.agreement.suites.weighted_metrics import run_weighted_metrics

# functions of dtype, mode, device and tf32, by name
PARTS: dict[str, Callable[..., list[Result]]] = {
    "layers": lambda *place: run_layers(layer_cases(), *place),
    "per example": lambda *place: run_per_example(per_example_cases(), *place),
    "points": run_points,
    "calls": run_calls,
    "Keras layers": run_keras_layers,
    "linear cross-entropy": run_linear_cross_entropy,
    "metrics": run_weighted_metrics,
}


def at(place: tuple[str, str, str, bool], part_of: str = "") -> list[Result]:
    """Returns every comparison at a dtype, mode, device and tf32; with `part_of`, those of this layer alone."""
    if part_of:
        return run_layers([case for case in layer_cases() if part_of in case.name], *place)
    return [result for run in PARTS.values() for result in run(*place)]
