"""The harness's verdict on a mutation: the first complaint, eager before graph before XLA.

Only cases that run the mutated function are tried: the others cannot change. Which those are is seen once, on the
package as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from planting.mutations import Mutation
from planting.plant import PACKAGE, planted
from tfbp.agreement import matrix, report, third_opinion
from tfbp.agreement.cases import all_cases
from tfbp.agreement.problems import DTYPES, Case
from tfbp.agreement.suites import all as beside


@dataclass
class Coverage:
    """The cases, and the parts beside the matrix, that run a function."""

    cases: dict[str, set[CodeType]] = field(default_factory=dict)
    parts: dict[str, set[CodeType]] = field(default_factory=dict)

    @classmethod
    def seen(cls, cases: Iterable[Case] | None = None) -> Coverage:
        """Of all cases, or of some: a mutation is then tried on these alone."""
        found = cls()
        for case in all_cases() if cases is None else cases:
            found.cases[case.name] = _codes(lambda case=case: matrix.run_cell(matrix.Cell(case, "float32", "eager")))
        for name, run in beside.PARTS.items():
            found.parts[name] = _codes(lambda run=run: [run("float64", "eager"), run("float16", "eager")])
        return found


def verdict(
    mutated: Iterable[CodeType],
    coverage: Coverage,
    modes: Sequence[str] = matrix.MODES,
    dtypes: Sequence[str] = DTYPES,
) -> str:
    """The first complaint, or "" where the harness has none."""
    mutated = set(mutated)
    cases = [case for case in all_cases() if coverage.cases.get(case.name, set()) & mutated]
    parts = [run for name, run in beside.PARTS.items() if coverage.parts[name] & mutated]
    every: list[Any] = []
    for mode in modes:
        for cell in matrix.cells(cases, dtypes, [mode]):
            results = matrix.run_cell(cell)
            every += results
            if matrix.first_wrong(results):
                return report.complaints(results, [], [])[0]
        for dtype in dtypes:
            for run in parts:
                found = report.complaints([], run(dtype, mode), [])
                if found:
                    return found[0]
    opinions = [opinion for op in third_opinion.ops() for opinion in third_opinion.opinions(op)]
    return next(iter(report.complaints(every, [], opinions)), "")


def judged(mutation: Mutation, coverage: Coverage | None = None, **where: Sequence[str]) -> str:
    """The same with a mutation planted."""
    coverage = coverage or Coverage.seen()
    with planted(mutation) as codes:
        return verdict(codes, coverage, **where)


def judged_at(mutation: Mutation, place: tuple[str, str]) -> str:
    """The same in one mode and dtype alone."""
    mode, dtype = place
    return judged(mutation, modes=[mode], dtypes=[dtype])


def _codes(run: Callable[[], Any]) -> set[CodeType]:
    """The code of every function of the package that runs."""
    seen: set[CodeType] = set()
    home = str(PACKAGE)

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(home):
            seen.add(frame.f_code)

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return seen


def grade(mutation: Mutation, complaint: str) -> tuple[bool, bool, str]:
    """Whether it was found, whether the place is right, and the cause: "right", "silent" or "misleading"."""
    if not complaint:
        return False, False, "silent"
    place, _, mistake = complaint.partition(": ")[2].partition(": ")[2].partition(": ")
    located = mutation.where in f"{place}"
    said = mistake.split("; ")[0]
    if mutation.cause and re.search(mutation.cause, said):
        return True, located, "right"
    silent = re.match(r"(all \d+|\d+ of \d+) elements?|nan at|-?inf at|-?[\d.e+-]+, where", said) is not None
    return True, located, "silent" if silent else "misleading"
