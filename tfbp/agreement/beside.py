"""What stands beside the matrix of networks: layers, kinks and far out, each example, the fused head, Keras's fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tfbp.agreement.layers import layer_cases, run_layers
from tfbp.agreement.linear_cross_entropy import run_linear_cross_entropy
from tfbp.agreement.per_example import per_example_cases, run_per_example
from tfbp.agreement.points import run_points
from tfbp.agreement.programs import Result
from tfbp.agreement.weighted_metrics import run_weighted_metrics

# by name, functions of dtype, mode, device and tf32
PARTS: dict[str, Callable[..., list[Result]]] = {
    "layers": lambda *place: run_layers(layer_cases(), *place),
    "per example": lambda *place: run_per_example(per_example_cases(), *place),
    "points": run_points,
    "linear cross-entropy": run_linear_cross_entropy,
    "metrics": run_weighted_metrics,
}


def parts(dtype: str, mode: str, device: str = "cpu", tf32: bool = False, part_of: str = "") -> Iterator[list[Result]]:
    """Every comparison, part by part, in one dtype and mode; with `part_of`, the layers of cases of that name alone."""
    place = (dtype, mode, device, tf32)
    if part_of:
        yield run_layers([case for case in layer_cases() if part_of in case.name], *place)
        return
    for run in PARTS.values():
        yield run(*place)
