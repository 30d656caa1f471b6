"""Writes the matrix's findings as one table for people, and as JSON with every number."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from tfbp.agreement.matrix import PAIRS, SCOPES, at_fault, by_cell, first_wrong, is_result
from tfbp.agreement.precision import ACCEPTED_RATIO, error_ratio
from tfbp.agreement.programs import Result
from tfbp.agreement.third_opinion import Opinion
from tfbp.errors import InputError

LEGEND = (
    "Worst error / tolerance of any element: 1 or less agrees. m manual, t tape, r reference; e2e end to end;\n"
    "2-norm: the worst relative error to r, end to end; wrong: comparisons of a tensor that disagree."
)


def table(results: list[Result]) -> Table:
    """Returns one row per dtype, mode and device: the worst error / tolerance of each pair, and how many are wrong."""
    out = Table(box=None, pad_edge=False)
    out.add_column("", no_wrap=True)
    for scope in ("local", "e2e"):
        for pair in PAIRS:
            initials = "–".join(writing[0] for writing in pair.split("-"))
            out.add_column(f"{scope}\n{initials}", justify="right", no_wrap=True)
    for heading in ("\n2-norm", "\nwrong"):
        out.add_column(heading, justify="right", no_wrap=True)
    for place, group in _grouped(results).items():
        row = [place]
        for scope in SCOPES:
            row += [_worst(r for r in group if (r.scope, r.pair) == (scope, pair)) for pair in PAIRS]
        out.add_row(*row, f"{worst_relative_error(group):.0e}", _wrong(group))
    return out


def table_beside(results: list[Result]) -> Table:
    """Returns a row per dtype, mode and device of the other trials: the worst error / tolerance of each part."""
    out = Table(box=None, pad_edge=False)
    scopes = list(dict.fromkeys(result.scope for result in results))
    out.add_column("", no_wrap=True)
    for heading in (*scopes, "wrong"):
        out.add_column(heading.replace(" ", "\n", 1), justify="right")
    for place, group in _grouped(results).items():
        out.add_row(place, *(_worst(r for r in group if r.scope == scope) for scope in scopes), _wrong(group))
    return out


def summary(results: list[Result], beside: list[Result], opinions: list[Opinion]) -> str:
    """Returns a summary of the comparisons, in four sentences."""
    ratios = [error_ratio(cell_results) for cell_results in by_cell(results) if cell_results[0].cell.dtype != "float64"]
    worst = max((opinion.comparison.ratio for opinion in opinions), default=0.0)
    cells = sum(1 for _ in by_cell(results))
    lines = [
        f"Compared: {len(results):,} tensors in {cells:,} cell{'s' * (cells != 1)}, and {len(beside):,} beside them.",
        f"Third opinions (central differences, complex step, float64): {len(opinions)} on "
        f"{len({opinion.op for opinion in opinions})} ops, worst error / tolerance {worst:.2f}.",
    ]
    if not np.isnan(ratios).all():
        lines.append(
            f"Below float64, manual's error is at most {np.nanmax(ratios):.2f} times tape's "
            f"(accepted: {ACCEPTED_RATIO:g})."
        )
    return "\n".join(lines)


def complaints(results: list[Result], beside: list[Result], opinions: list[Opinion]) -> list[str]:
    """Returns one line for the first disagreement of each kind: the cell, the writing, the tensor and the cause."""
    lines = []
    for group in (results, beside):
        wrong = first_wrong(group)
        if wrong is not None:
            writing, comparison = at_fault(group, wrong)
            name = " ".join(word for word in (comparison.tensor, f"of {writing}") if word)
            lines.append(f"First wrong: {wrong.cell.id}, {wrong.scope}: {name}: {comparison.mistake}.")
    for opinion in opinions:
        if not opinion.comparison.agrees:
            tensor, mistake = opinion.comparison.tensor, opinion.comparison.mistake
            lines.append(f"Contradicted: {opinion.op}: {tensor} of {opinion.writing}, by {opinion.method}: {mistake}.")
            break
    for cell_results in by_cell(results):
        ratio = error_ratio(cell_results) if cell_results[0].cell.dtype != "float64" else 0.0
        if ratio > ACCEPTED_RATIO:
            lines.append(f"Imprecise: {cell_results[0].cell.id}: manual's error is {ratio:.2f} times tape's.")
            break
    return lines


def worst_relative_error(results: list[Result]) -> float:
    """Returns the largest normwise relative error of an end-to-end gradient or loss above 0, to the reference."""
    errors = [
        r.comparison.relative_error
        for r in results
        if r.scope == "end to end" and r.pair != "manual-tape" and is_result(r.comparison.tensor)
        if not r.comparison.vanishes
    ]
    return max((error for error in errors if np.isfinite(error)), default=np.inf)


def write_json(path: str | Path, results: list[Result]) -> None:
    """Writes every comparison, with the versions and the machine, to a file.

    Raises:
        InputError: a path that cannot be written.
    """
    document = {
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "comparisons": [_record(result) for result in results],
    }
    try:
        Path(path).write_text(json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise InputError(
            f"json: got {str(path)!r} ({error.strerror}); accepted: a path that can be written."
        ) from error


def _record(result: Result) -> dict[str, Any]:
    cell, comparison = result.cell, result.comparison
    return {
        "cell": cell.id,
        "pair": result.pair,
        "scope": result.scope,
        "tensor": comparison.tensor,
        # JSON has no infinity: a wrong shape, dtype or a NaN has no number
        "error_over_tolerance": comparison.ratio if np.isfinite(comparison.ratio) else None,
        "relative_error": comparison.relative_error if np.isfinite(comparison.relative_error) else None,
        "agrees": comparison.agrees,
        "mistake": comparison.mistake,
    }


def _grouped(results: list[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        cell = result.cell
        place = f"{cell.dtype} {cell.mode} {cell.device}" + (" tf32" if cell.tf32 else "")
        groups.setdefault(place, []).append(result)
    return groups


def _wrong(group: list[Result]) -> str:
    wrong = sum(not r.comparison.agrees for r in group)
    count = f"{wrong} of {len(group):,}"
    return f"[red]{count}[/red]" if wrong else count


def _worst(results: Iterable[Result]) -> str:
    ratios = [result.comparison.ratio for result in results]
    return _number(max(ratios)) if ratios else "–"


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio <= 1 else f"[red]{ratio:.3g}[/red]"
