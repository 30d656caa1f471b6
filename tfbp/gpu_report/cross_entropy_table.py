"""Writes the page's table of `linear_cross_entropy`: memory and time, by hand and by tape."""

from __future__ import annotations

from typing import Any

from tfbp.gpu_report.plan import HEADS
from tfbp.gpu_report.tables import number, table

TOLERANCE = 1e-4  # relative: float32 rounding over these reductions


def disagreement(manual: dict[str, Any], tape: dict[str, Any]) -> str:
    """Returns one sentence on a difference of the two results; empty where they agree.

    Example:
        >>> right = {"numbers": [8.0, 0.5, 0.25]}
        >>> disagreement(right, right), disagreement({"numbers": [8.0, 0.6, 0.25]}, right)
        ('', 'the norm of dx is 0.6 by hand and 0.5 by tape')
    """
    names = ("the loss", "the norm of dx", "the norm of dkernel")
    for what, ours, theirs in zip(names, manual["numbers"], tape["numbers"], strict=True):
        # in this form a NaN disagrees
        if not abs(ours - theirs) <= TOLERANCE * abs(theirs):
            return f"{what} is {ours:.7g} by hand and {theirs:.7g} by tape"
    return ""


def pairs(wanted: Any, units: dict[str, dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Yields each size and mode, and its results by contestant."""
    by_place: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {}
    for group, point, name in wanted:
        if group.section == "cross-entropy" and "result" in units.get(name, {}):
            place = tuple(point[key] for key in ("mode", "tokens", "width", "classes"))
            by_place.setdefault(place, (point, {}))[1][point["contestant"]] = units[name]["result"]
    return list(by_place.values())


def disagreements(wanted: Any, units: dict[str, dict[str, Any]]) -> list[str]:
    """Returns a line for each size and mode at which manual and tape differ."""
    lines = []
    for point, results in pairs(wanted, units):
        if set(results) == set(HEADS) and (said := disagreement(results["manual"], results["tape"])):
            lines.append(f"linear_cross_entropy, {point['mode']}, {point['classes']} classes: {said}.")
    return lines


def cross_entropy(wanted: Any, units: dict[str, dict[str, Any]]) -> list[str]:
    """Returns a row for each size and mode."""
    rows = []
    for point, found in pairs(wanted, units):
        logits = 4 * point["tokens"] * point["classes"]
        memory = {name: each["extra_bytes"] for name, each in found.items()}
        seconds = {name: each["median"] for name, each in found.items()}
        rows.append(
            [
                f"{point['mode']}, {point['tokens']:,} × {point['width']:,}, {point['classes']:,} classes",
                _mebibytes(logits),
                *(_mebibytes(memory.get(name)) for name in HEADS),
                _ratio(memory.get("tape"), memory.get("manual")),
                *(number(1e3 * seconds[name]) if name in seconds else "" for name in HEADS),
                _ratio(seconds.get("manual"), seconds.get("tape")),
            ]
        )
    headings = ["", "logits MiB", "manual MiB", "tape MiB", "tape / manual", "manual ms", "tape ms", "manual / tape"]
    lines = [f"- {line}" for line in disagreements(wanted, units)]
    legend = "Loss, dx and dkernel in float32; the most memory that a step holds beyond its arguments; medians."
    return [*table(headings, rows), "", legend, *([""] if lines else []), *lines]


def _mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:,.1f}"


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.2f}" if above is not None and below else ""
