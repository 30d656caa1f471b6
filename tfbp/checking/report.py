"""The verdict on a gradient: what was found, worst first, and what is worth knowing beside it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

# what makes the rest meaningless comes first
# and None, which may be meant so, last
ORDER = ("forward", "contract", "upstream", "state", "gradient", "kink", "mode", "second order", "none")
WIDTH = 120


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        argument: the name of the gradient: "kernel"; "output" for a forward value; "oracle: kernel" for the oracle's.
        where: how much, and which element. cause: the likely mistake, empty where the numbers show none.
        mode, dtype: of the runs that show it. kind: one of `ORDER`. ratio: the largest error / tolerance.
    """

    argument: str
    where: str
    cause: str
    mode: str
    dtype: str
    kind: str = "gradient"
    ratio: float = np.inf

    def __str__(self) -> str:
        size = f" (error / tolerance {self.ratio:.3g})" if np.isfinite(self.ratio) else ""
        sentence = "; ".join(part for part in (self.cause, self.where) if part) or "disagrees"
        return f"{self.argument} [{self.dtype}, {self.mode}]: {sentence}{size}"


@dataclass
class Report:
    """The result of `check_gradients`.

    Attributes:
        name: of the function.
        findings: worst first; none means that everything agrees.
        notes: the audit of the test point, kinks, what was invisible.
        grade: of the test point: "good", "weak" (some mistakes would not show) or "blind" (a gradient shows none).
        worst: the largest error / tolerance of each dtype and mode.
        visible: by dtype and argument, the smallest error, relative to the gradient's size, that would have been seen.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    grade: str = "good"
    worst: dict[str, float] = field(default_factory=dict)
    visible: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return not self.findings

    def __bool__(self) -> bool:
        return self.agrees

    def __str__(self) -> str:
        """At most 28 lines."""
        count = len(self.findings)
        verdict = "its gradients agree" if self.agrees else f"{count} finding{'s' if count > 1 else ''}"
        lines = [f"{self.name}: {verdict}; test point: {self.grade}"]
        lines += _cut((f"  {finding}" for finding in self.findings), 12, "finding")
        notes = [*self.notes, *self._invisible()]
        lines += _cut((f"  note: {note}" for note in notes), 10, "note")
        if self.worst:
            lines.append(f"  error / tolerance, 1 or less agrees: {self._table()}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON takes it; a ratio that is infinite is null."""
        fields = asdict(self) | {"agrees": self.agrees}
        for finding in fields["findings"]:
            finding["ratio"] = finding["ratio"] if np.isfinite(finding["ratio"]) else None
        fields["worst"] = {k: v if np.isfinite(v) else None for k, v in self.worst.items()}
        return fields

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

    def _invisible(self) -> list[str]:
        """Per dtype, the argument with the coarsest view."""
        sentences = []
        for dtype, arguments in self.visible.items():
            if arguments:
                name = max(arguments, key=lambda a: arguments[a])
                sentences.append(f"in {dtype}, errors in {name} under {_percent(arguments[name])} are invisible here")
        return sentences

    def _table(self) -> str:
        """The worst of each dtype, and in which mode."""
        worst: dict[str, tuple[float, str]] = {}
        for place, ratio in self.worst.items():
            dtype, _, mode = place.partition(" ")
            worst[dtype] = max(worst.get(dtype, (-1.0, "")), (ratio, mode))
        return ", ".join(f"{dtype} {ratio:.2g} ({mode})" for dtype, (ratio, mode) in worst.items())


def in_order(findings: Iterable[Finding], every: Iterable[str] = ()) -> list[Finding]:
    """Worst first; what is the same in several dtypes and modes once. `every`: the modes that were run."""
    merged: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        merged.setdefault((finding.kind, finding.argument, finding.cause or finding.where), []).append(finding)
    found = []
    for group in merged.values():
        first = max(group, key=lambda f: f.ratio)
        cause = first.cause
        if first.kind == "mode":
            cause = "; ".join(part for part in (_only(group), cause) if part)
        modes, dtypes = (", ".join(dict.fromkeys(getattr(f, a) for f in group)) for a in ("mode", "dtype"))
        if len(set(every)) > 1 and {f.mode for f in group} >= set(every):
            modes = "every mode"
        found.append(Finding(first.argument, first.where, cause, modes, dtypes, first.kind, first.ratio))
    return sorted(found, key=lambda f: (ORDER.index(f.kind), -f.ratio))


def _only(group: list[Finding]) -> str:
    """Where alone it shows: the widest dtype, run eagerly, is what everything else is held against."""
    modes, dtypes = (list(dict.fromkeys(getattr(f, a) for f in group)) for a in ("mode", "dtype"))
    if "eager" not in modes:
        return f"only in {', '.join(modes)}"
    return f"only in {', '.join(dtypes)}"


def _cut(lines: Iterable[str], most: int, what: str) -> list[str]:
    shortened = [textwrap.shorten(line, 3 * WIDTH, placeholder=" …") for line in lines]
    shortened = [f"  {line.strip()}" for line in shortened]
    if len(shortened) <= most:
        return shortened
    return [*shortened[: most - 1], f"  … and {len(shortened) - most + 1} more {what}s"]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share >= 1e-4 else f"{share:.0e} of their size"
