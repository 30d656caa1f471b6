"""Writes the Markdown page of a report, with the results so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfbp.gpu_report.cross_entropy_table import cross_entropy
from tfbp.gpu_report.plan import CONTESTANTS, PRECISIONS, Group
from tfbp.gpu_report.tables import microseconds, number, table

Units = dict[str, dict[str, Any]]
ON_A_CPU = "**On a CPU: smaller, shows only that the report runs.** Its figures say nothing of a GPU."


def page(machine: dict[str, Any], groups: list[Group], units: Units, command: str) -> str:
    """Returns the whole page."""
    wanted = [(group, point, group.id_of(point)) for group in groups for point in group.points]
    left = [name for _, _, name in wanted if name not in units]
    parts = [f"# tfbp on {machine['device']}", ""]
    if machine["kind"] == "cpu":
        parts += [ON_A_CPU, ""]
    parts += [f"`{command}`: {len(wanted) - len(left)} of {len(wanted)} measurements."]
    parts += [f"Left for the next run of the same command: {', '.join(left)}."] if left else []
    parts += ["", *table(["", ""], [[name, str(value)] for name, value in machine.items() if value != ""]), ""]
    for title, section in {
        "Agreement": agreement,
        "A training step": steps,
        "linear_cross_entropy": cross_entropy,
        "Where a step's time goes": time_of_parts,
    }.items():
        parts += [f"## {title}", "", *section(wanted, units), ""]
    parts += _not_measured(wanted, units)
    return "\n".join(parts).rstrip() + "\n"


def agreement(wanted: Any, units: Units) -> list[str]:
    """Returns the worst error / tolerance of each pair, by dtype and mode."""
    rows, complaints = [], []
    pairs = [f"{s} {p}" for s in ("local", "end to end") for p in ("manual-reference", "tape-reference", "manual-tape")]
    for point, result in _found("agreement", wanted, units):
        place = " ".join(word for word in (point["dtype"], point["mode"], point["tf32"]) if word)
        complaints += [f"- {line}" for line in result["complaints"]]
        rows.append(
            [
                place,
                *(number(result["worst"][pair]) for pair in pairs),
                "" if result["beside"] is None else number(result["beside"]),
                "" if result["manual / tape"] is None else number(result["manual / tape"]),
                f"{result['networks']} of {result['of']}",
                f"{result['wrong']:,} of {result['compared']:,}",
            ]
        )
    short = [pair.replace("manual", "m").replace("tape", "t").replace("reference", "r") for pair in pairs]
    headings = ["", *short, "beside them", "error m / t", "networks", "wrong"]
    legend = (
        "The worst error / tolerance of any element: 1 or less agrees. m manual, t tape, r the NumPy reference. Beside "
        "them: layers, kinks, each example's gradient, the fused head. In XLA, some of the networks: "
        "`tfbp agree --device gpu` takes all."
    )
    return [*table(headings, rows), "", legend, *([""] if complaints else []), *complaints]


def steps(wanted: Any, units: Units) -> list[str]:
    """Returns microseconds per step: a table for each precision, a column for each contestant."""
    lines = []
    for precision in PRECISIONS:
        cells: dict[str, dict[str, str]] = {}
        for group, point, name in wanted:
            if group.section == "steps" and point["precision"] == precision:
                unit = units.get(name)
                cells.setdefault(point["size"], {})[point["contestant"]] = _timed(unit)
        if cells:
            rows = [[size, *(each.get(name, "") for name in CONTESTANTS)] for size, each in cells.items()]
            lines += [f"### {precision}", "", *table(["µs a step", *(c[0] for c in CONTESTANTS.values())], rows), ""]
    legend = (
        "Medians (minima) of rounds, when the device is done; compiled and warmed up before. relu, sparse softmax "
        "cross-entropy, plain SGD, shuffled batches. Each contestant first followed the float64 reference's loss, in a "
        "process of its own."
    )
    versions = dict.fromkeys(found["version"] for _, found in _found("steps", wanted, units))
    return [*lines, " ".join([legend, *(f"{version}." for version in versions)])]


def _timed(unit: dict[str, Any] | None) -> str:
    if unit is None:
        return "left"
    if "result" not in unit:
        return "error" if "error" in unit else "not installed" if "not installed" in unit["unavailable"] else "n/a"
    return f"{microseconds(unit['result']['median'])} ({microseconds(unit['result']['min'])})"


def time_of_parts(wanted: Any, units: Units) -> list[str]:
    """Returns each part's microseconds and its share of the step."""
    rows, names = [], ("gather", "forward", "backward", "optimizer", "fit")
    for point, found in _found("parts", wanted, units):
        parts, whole = found["microseconds"], found["step"]
        cells = [f"{microseconds(parts[name])} ({parts[name] / whole:.0%})" for name in names]
        rows.append([point["size"], *cells, microseconds(whole)])
    legend = (
        "float32, SGD, gradients by hand: differences between programs that do ever more of a step; noise can bring "
        "one below 0. `fit` is what `Model.fit` takes beside its program."
    )
    return [*table(["µs a step", *names, "in all"], rows), "", legend]


def _found(section: str, wanted: Any, units: Units) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    for group, point, name in wanted:
        if group.section == section and "result" in units.get(name, {}):
            yield point, units[name]["result"]


def _not_measured(wanted: Any, units: Units) -> list[str]:
    lines = []
    for _, _, name in wanted:
        for kind, sentence in (("error", "error"), ("unavailable", "not available")):
            if why := units.get(name, {}).get(kind):
                lines.append(f"- {name}: {sentence}: {why}")
    return ["## Not measured", "", *lines] if lines else []
