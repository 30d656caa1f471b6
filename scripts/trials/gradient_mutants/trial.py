"""Collects every contestant's verdict on every mistake and on right gradients, and the totals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gradient_mutants import layers, pointwise, sequences
from gradient_mutants.contestants import CONTESTANTS, DTYPES, this_checker, visible
from gradient_mutants.kind import Kind, Mutant

MODES = ("eager", "graph", "xla")
CELLS = len(DTYPES) * (len(MODES) + 1)  # graphs run once more, with an unknown batch


def kinds() -> list[Kind]:
    return [make() for module in (pointwise, layers, sequences) for make in module.KINDS]


def trial(kind: Kind, mutant: Mutant, seed: int) -> list[dict[str, Any]]:
    """Returns every contestant's verdict on a mistake, at both points."""
    verdicts = []
    for point in ("good", "lazy"):
        inputs = getattr(kind, point)(np.random.default_rng(seed))
        function = kind.function(mutant.backward)
        seen = {dtype: visible(kind, mutant.backward, inputs, dtype) for dtype in DTYPES}
        for name, contestant in CONTESTANTS.items():
            answer = contestant(kind, function, inputs)
            row = {"kind": kind.name, "mutant": mutant.name, "point": point, "contestant": name, "visible": seen}
            row |= {"killed": answer.wrong, "seconds": answer.seconds}
            if answer.report is not None:
                first = answer.report.findings[0] if answer.report.findings else None
                said = f"{first.cause}; {first.where}" if first else ""
                row |= {"grade": answer.report.grade, "argument": first.argument if first else None, "said": said}
                row["located"] = bool(first) and first.argument.split(" ")[0] in mutant.arguments
                row["cause"] = bool(mutant.cause) and bool(re.search(mutant.cause, said))
                row["nameable"] = bool(mutant.cause)
            verdicts.append(row)
    return verdicts


def right(kind: Kind, seed: int) -> list[dict[str, Any]]:
    """Returns every contestant's verdict on a right backward; this checker in every mode."""
    inputs, complaints = kind.good(np.random.default_rng(1000 + seed)), []
    for name, contestant in CONTESTANTS.items():
        ours = contestant is this_checker
        answer = contestant(kind, kind.function(), inputs, **({"modes": MODES} if ours else {}))
        cells = (
            [f"{d} {m}" for f in answer.report.findings for d in f.dtype.split(", ") for m in [f.mode]] if ours else []
        )
        alarms = len(cells) if ours else sum(answer.wrong.values())
        float64 = any(cell.startswith("float64") for cell in cells) if ours else answer.wrong["float64"]
        said = [str(f) for f in answer.report.findings] if ours else []
        complaints.append(
            {"kind": kind.name, "seed": seed, "contestant": name, "alarms": alarms, "float64": float64, "said": said}
            | {"cases": CELLS if ours else len(DTYPES), "seconds": answer.seconds}
        )
    return complaints


def summary(mutants: list[dict[str, Any]], correct: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns one row for each contestant."""
    rows = []
    for name in CONTESTANTS:
        mine = [r for r in mutants if r["contestant"] == name]
        row: dict[str, Any] = {"contestant": name}
        for point in ("good", "lazy"):
            shown = [(r, d) for r in mine if r["point"] == point for d in DTYPES if r["visible"][d]]
            row[f"{point} visible"] = len(shown)
            row[f"{point} killed"] = sum(r["killed"][d] for r, d in shown)
        float64 = [r for r in mine if r["point"] == "good" and r["visible"]["float64"]]
        row["float64 visible"], row["float64 killed"] = len(float64), sum(r["killed"]["float64"] for r in float64)
        fine = [r for r in correct if r["contestant"] == name]
        row["false alarms"], row["correct"] = sum(r["alarms"] for r in fine), sum(r["cases"] for r in fine)
        row["float64 alarms"], row["float64 correct"] = sum(r["float64"] for r in fine), len(fine)
        row["seconds"] = float(np.mean([r["seconds"] for r in mine])) if mine else None
        if name == "tfbp":
            kills = [r for r in mine if r["point"] == "good" and r["killed"]["float64"]]
            named = [r for r in kills if r["nameable"]]
            row["located"] = sum(r["located"] for r in kills) / max(len(kills), 1)
            row["cause"] = sum(r["cause"] for r in named) / max(len(named), 1)
            lazy = [r for r in mine if r["point"] == "lazy"]
            row["lazy flagged"], row["lazy"] = sum(r["grade"] != "good" for r in lazy), len(lazy)
        rows.append(row)
    return rows


def failures(mutants: list[dict[str, Any]], correct: list[dict[str, Any]]) -> list[str]:
    """Returns this checker's failures, one line for each."""
    said = []
    for r in (r for r in mutants if r["contestant"] == "tfbp"):
        name = f"{r['kind']}, {r['mutant']}, {r['point']} point"
        missed = [d for d in DTYPES if r["visible"][d] and not r["killed"][d]]
        if r["point"] == "good" and missed:
            said.append(f"{name}: missed in {', '.join(missed)}")
        if r["point"] == "lazy" and r["grade"] == "good" and r["argument"] is None:
            said.append(f"{name}: not flagged")
        if r["point"] == "good" and r["killed"]["float64"] and not r["located"]:
            said.append(f"{name}: laid to {r['argument']}: {r['said']}")
        if r["point"] == "good" and r["killed"]["float64"] and r["nameable"] and not r["cause"]:
            said.append(f"{name}: cause not named: {r['said']}")
    said += [f"{r['kind']}, right: {each}" for r in correct if r["contestant"] == "tfbp" for each in r["said"]]
    return said
