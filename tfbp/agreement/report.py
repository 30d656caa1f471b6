"""The matrix's findings as one table that a person can read, and as JSON with every number."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from tfbp.agreement.matrix import PAIRS, Cell, Result, first_wrong
from tfbp.agreement.precision import ACCEPTED_RATIO, error_ratio
from tfbp.agreement.third_opinion import Opinion
from tfbp.checks import InputError

ByCell = dict[Cell, list[Result]]

LEGEND = (
    "Worst error / tolerance of any element: 1 or less agrees. m manual, t tape, r reference; e2e end to end;\n"
    "2-norm: the worst relative error to r, end to end; wrong: comparisons of a tensor that disagree."
)


def table(results: list[Result]) -> Table:
    """One row per dtype, mode and device: the worst error / tolerance of each pair, and how many are wrong."""
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
        for scope in ("local", "end to end"):
            for pair in PAIRS:
                row.append(_number(max(r.comparison.ratio for r in group if (r.scope, r.pair) == (scope, pair))))
        out.add_row(*row, f"{worst_relative_error(group):.0e}", _wrong(group))
    return out


def layer_table(results: list[Result]) -> Table:
    """One row per dtype, mode and device: the worst error / tolerance of what tfbp.layers compute and differentiate."""
    out = Table(box=None, pad_edge=False)
    out.add_column("tfbp.layers", no_wrap=True)
    for heading in ("y", "gradients", "wrong"):
        out.add_column(heading, justify="right", no_wrap=True)
    for place, group in _grouped(results).items():
        outputs = [r.comparison.ratio for r in group if r.comparison.tensor.endswith(" y")]
        gradients = [r.comparison.ratio for r in group if not r.comparison.tensor.endswith(" y")]
        out.add_row(place, _number(max(outputs)), _number(max(gradients)), _wrong(group))
    return out


def summary(by_cell: ByCell, opinions: list[Opinion]) -> str:
    """What was compared, in three sentences."""
    comparisons = sum(len(results) for results in by_cell.values())
    ratios = [error_ratio(results) for cell, results in by_cell.items() if cell.dtype != "float64"]
    worst = max(opinion.comparison.ratio for opinion in opinions)
    lines = [
        f"Compared: {comparisons:,} tensors in {len(by_cell)} cells.",
        f"Third opinions (central differences, complex step, float64): {len(opinions)} on "
        f"{len({opinion.op for opinion in opinions})} ops, worst error / tolerance {worst:.2f}.",
    ]
    if ratios:
        lines.append(
            f"Below float64, manual's error is at most {max(ratios):.2f} times tape's (accepted: {ACCEPTED_RATIO:g})."
        )
    return "\n".join(lines)


def complaints(by_cell: ByCell, opinions: list[Opinion], of_layers: list[Result]) -> list[str]:
    """One line for the first of each kind of disagreement: the layer and tensor, local before end to end."""
    lines = []
    for results in ([result for found in by_cell.values() for result in found], of_layers):
        wrong = first_wrong(results)
        if wrong is not None:
            found = wrong.comparison
            lines.append(f"First wrong: {wrong.cell.id}, {wrong.pair}, {wrong.scope}, {found.tensor}: {found.mistake}.")
    for cell, results in by_cell.items():
        # written so that a NaN is a complaint
        if cell.dtype != "float64" and not error_ratio(results) <= ACCEPTED_RATIO:
            lines.append(f"Imprecise: {cell.id}: manual's error is {error_ratio(results):.2f} times tape's.")
            break
    for opinion in opinions:
        if not opinion.comparison.agrees:
            tensor = opinion.comparison.tensor
            lines.append(f"Contradicted: {opinion.op}, {tensor} of {opinion.writing}, by {opinion.method}.")
            break
    return lines


def worst_relative_error(results: list[Result]) -> float:
    """The largest normwise relative error of an end-to-end gradient or loss against the reference."""
    errors = [r.comparison.relative_error for r in results if r.scope == "end to end" and r.pair != "manual-tape"]
    return max((error for error in errors if np.isfinite(error)), default=np.inf)


def write_json(path: str | Path, results: list[Result]) -> None:
    """Every comparison, with the versions and the machine, to a file.

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


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio <= 1 else f"[red]{ratio:.3g}[/red]"
