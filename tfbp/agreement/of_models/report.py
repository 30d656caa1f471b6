"""The report of `tfbp.agree`: one line for each layer, with its judge, and every finding with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

MOST = 20


@dataclass(frozen=True)
class ModelFinding:
    """One disagreement.

    Attributes:
        layer: its name in the model. tensor: "dkernel", "y", "dx0".
        dtype, mode: those of the runs that show it.
        part: "layer" of a layer by itself, "differences" of one that the reference does not have, "fork" of a sum of
            gradients where a tensor is used several times, "shared" where a layer is, "whole" of the model as one
            program, "mask" or "repeat".
        cause: the likely mistake, empty where no mistake explains the numbers. where: the size, and which element.
        ratio: error / tolerance. outlier: the one that differs from the others, where there are several.
    """

    layer: str
    tensor: str
    dtype: str
    mode: str
    part: str
    cause: str = ""
    where: str = ""
    ratio: float = np.inf
    outlier: str = ""

    def __str__(self) -> str:
        sentence = "; ".join(part for part in (self.cause, self.where, self.outlier) if part) or "disagrees"
        size = f" (error / tolerance {self.ratio:.3g})" if np.isfinite(self.ratio) else ""
        return f"{self.layer} {self.tensor} [{self.part}; {self.dtype}, {self.mode}]: {sentence}{size}"


@dataclass
class Line:
    """One call of a layer: its judge, and the worst error / tolerance by "dtype mode"."""

    layer: str
    kind: str
    by: str
    worst: dict[str, float] = field(default_factory=dict)
    takes: tuple[int, ...] = ()
    makes: tuple[int, ...] = ()


@dataclass
class ModelReport:
    """The findings of a model.

    Attributes:
        name: of the model. lines: one for each call, in order. findings: the first wrong tensor first.
        whole: the worst error / tolerance of the model as one program, by "dtype mode".
        notes: the acquittals, in numbers, and the calls that could not be judged.
        inputs: the names of the inputs. versions: those of the packages.
    """

    name: str
    lines: list[Line] = field(default_factory=list)
    findings: list[ModelFinding] = field(default_factory=list)
    whole: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return not self.findings

    def __bool__(self) -> bool:
        return self.agrees

    def __str__(self) -> str:
        count = len(self.findings)
        verdict = "agrees" if self.agrees else f"{count} finding{'s' if count > 1 else ''}"
        known = sum(line.by == "reference" for line in self.lines)
        judged = f"{known} of {len(self.lines)} calls judged by the reference"
        if known < len(self.lines):
            judged += f", {len(self.lines) - known} by differences"
        lines = [f"{self.name}: {verdict}; {judged}"]
        lines += _cut([f"  {finding}" for finding in self.findings], "finding")
        lines += _cut([f"  note: {note}" for note in self.notes], "note")
        return "\n".join([*lines, *self.table()])

    def rows(self) -> list[list[str]]:
        """Returns the worst error / tolerance of each call in each dtype, with its mode."""
        dtypes = list(dict.fromkeys(key.split(" ")[0] for line in self.lines for key in line.worst))
        rows = [["error / tolerance, 1 or less agrees", "judged by", *dtypes]]
        for line in self.lines:
            rows.append([f"{line.layer} ({line.kind})", line.by, *(_worst(line.worst, dtype) for dtype in dtypes)])
        if self.whole:
            rows.append(["the whole model as one program", "", *(_worst(self.whole, dtype) for dtype in dtypes)])
        return rows

    def table(self) -> list[str]:
        """Returns the rows, in columns."""
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  " + "  ".join(word.ljust(n) for word, n in zip(row, widths, strict=True)).rstrip() for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything in JSON's types; an infinite ratio is null."""
        fields = asdict(self) | {"agrees": self.agrees}
        for finding in fields["findings"]:
            finding["ratio"] = _number(finding["ratio"])
        for each in (*fields["lines"], fields):
            key = "worst" if "worst" in each else "whole"
            each[key] = {place: _number(ratio) for place, ratio in each[key].items()}
        return fields

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

    def to_html(self) -> str:
        """Returns one page with the drawn graph, red where it disagrees."""
        from tfbp.agreement.of_models.page import html

        return html(self)

    def changes(self, before: Mapping[str, Any]) -> list[str]:
        """Returns the differences from an earlier report, as `to_dict` or JSON has it."""
        from tfbp.agreement.of_models.change import changes

        return changes(before, self)

    def _repr_html_(self) -> str:
        return self.to_html()


def _number(ratio: float) -> float | None:
    return ratio if np.isfinite(ratio) else None


def _worst(worst: dict[str, float], dtype: str) -> str:
    ratios = {key.split(" ", 1)[1]: ratio for key, ratio in worst.items() if key.split(" ")[0] == dtype}
    if not ratios:
        return "–"
    mode = max(ratios, key=lambda name: ratios[name])
    return f"{ratios[mode]:.2g} ({mode})"


def _cut(lines: list[str], what: str) -> list[str]:
    return lines if len(lines) <= MOST else [*lines[:MOST], f"  … and {len(lines) - MOST} more {what}s"]
