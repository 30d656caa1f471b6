"""Runs the agreement matrix in one dtype and mode: the worst error / tolerance of each pair of writings."""

from __future__ import annotations

from typing import Any

import numpy as np

import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
from tfbp.agreement import matrix, report
from tfbp.agreement.cases import all_cases
from tfbp.agreement.precision import error_ratio
from tfbp.agreement.programs import Result
from tfbp.agreement.suites import all as beside


def measure(point: dict[str, Any], device: str) -> dict[str, Any]:
    """Returns the results of `tfbp agree` in one row of its table, and its complaints."""
    cases, dtype, mode, tf32 = all_cases(), point["dtype"], point["mode"], bool(point["tf32"])
    chosen = cases[:: point["every"]]
    results = []
    for cell in matrix.cells(chosen, [dtype], [mode], device, [tf32]):
        results += matrix.run_cell(cell)
    others = beside.at((dtype, mode, device, tf32)) if point["beside"] else []
    ratios = [error_ratio(found) for found in matrix.by_cell(results)] if dtype != "float64" else []
    return {
        "networks": len(chosen),
        "of": len(cases),
        "compared": len(results) + len(others),
        "wrong": sum(not result.comparison.agrees for result in results + others),
        "worst": {
            f"{scope} {pair}": _worst([r for r in results if (r.scope, r.pair) == (scope, pair)])
            for scope in matrix.SCOPES
            for pair in matrix.PAIRS
        },
        "beside": _worst(others) if others else None,
        "relative error": _number(report.worst_relative_error(results)),
        "manual / tape": _number(np.nanmax(ratios)) if ratios and not np.isnan(ratios).all() else None,
        "complaints": report.complaints(results, others, []),
    }


def _worst(results: list[Result]) -> float | None:
    return _number(max((result.comparison.ratio for result in results), default=0.0))


def _number(value: Any) -> float | None:
    """Returns None for a wrong shape or a NaN: JSON has no infinity."""
    return float(value) if np.isfinite(value) else None
