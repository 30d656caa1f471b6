"""Finds the harness's verdict on a mistake: the first complaint, eager float64 first.

Only cases that run the changed function are tried: those with a layer, an activation or a loss of its file. The
reference's results are cached, unless the mistake is in the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from planting.mistake import Mistake
from planting.plant import planted
from tfbp.agreement import matrix, report, third_opinion
from tfbp.agreement.cases import all_cases
from tfbp.agreement.problems import DTYPES, Case
from tfbp.agreement.programs import forget
from tfbp.agreement.suites import all as beside

# files that others of a kind use
_USED_BY = {
    "window": {"convolution", "pooling", "transposed", "sequences", "volumes"},
    "convolution": {"convolution", "sequences", "volumes"},
    "pooling": {"pooling", "sequences", "volumes"},
    "steps": {"recurrent"},
    "halves": {"recurrent"},
    "gates": {"recurrent", "bidirectional"},
    "chunks": {"attention"},
    "tied": {"linear_cross_entropy"},
    "position": {"position"},
    "masked_normalization": {"normalization", "masks"},
}
_KINDS = {
    *("activation", "attention", "bidirectional", "convolution", "dropout", "embedding", "linear_cross_entropy"),
    *("normalization", "pooling", "position", "recurrent", "residual", "shapes"),
    *(
        "einsum",
        "masks",
        "merge",
        "noise",
        "padding",
        "rearranging",
        "scaling",
        "sequences",
        "transposed",
        "upsampling",
        "volumes",
    ),
}
# results without a case in the matrix: an example's own gradient
_OF_EXAMPLES = (
    r"example|\._\w+_gradients$|_own_terms|_with_bias|tied_moments|_products|_squares|_reweighted|_summed_by_token"
)
# the part beside the matrix that tries a room or a function first; the others follow
_PARTS = {
    "calls": r"\.(recurrent|steps|halves|attention|chunks|normalization|position|dropout|embedding)\.",
    "per example": rf"{_OF_EXAMPLES}|tied",
    "points": r"activations|losses",
    "linear cross-entropy": r"linear_cross_entropy|^losses",
    "layers": r"^layers\.|softmax|prelu",
    "Keras layers": r"^layers\.",
}


def verdict(mistake: Mistake, modes: Sequence[str] = matrix.MODES, dtypes: Sequence[str] = DTYPES) -> str:
    """Returns the first complaint about the package as it is, or "" without one."""
    cases = [case for case in all_cases() if runs(case, mistake)]
    parts = list(_parts(mistake))
    known = {"reference", "tape", "manual"} - {mistake.room}
    every: list[Any] = []
    for mode in modes:
        for dtype in dtypes:
            for cell in matrix.cells(cases, [dtype], [mode]):
                results = matrix.run_cell(cell, remember=known)
                every += results
                if matrix.first_wrong(results):
                    return report.complaints(results, [], [])[0]
            for run in parts:
                complaints_of_run = report.complaints([], run(dtype, mode), [])
                if complaints_of_run:
                    return complaints_of_run[0]
    opinions = [opinion for op in third_opinion.ops() for opinion in third_opinion.opinions(op)]
    return next(iter(report.complaints(every, [], opinions)), "")


def runs(case: Case, mistake: Mistake) -> bool:
    """Whether a case may run the function: it has a layer of its file, or its activation, or its loss."""
    room, file, *_, function = mistake.function.split(".")
    if room == "layers" or re.search(_OF_EXAMPLES, mistake.function):
        return False
    files = _USED_BY.get(file, {file})
    name = re.sub("_(forward|backward)$", "", function)
    if files & _KINDS:
        return any(type(node.layer).__module__.rpartition(".")[2] in files for node in case.network.nodes)
    if file in ("smooth_activations", "piecewise_activations") and name != function:
        return f'"{name}"' in case.network.to_json()
    if file == "losses" and name != function and name != "loss":
        return any(loss.name == name for loss in case.network.losses)
    return True


def _parts(mistake: Mistake) -> Iterator[Any]:
    for name, run in beside.PARTS.items():
        if name in _PARTS and re.search(_PARTS[name], mistake.function):
            yield run


def judged(mistake: Mistake, **where: Sequence[str]) -> str:
    """Returns the same with a mistake planted."""
    is_on_trial = mistake.room not in ("manual", "tape", "layers")
    try:
        with planted(mistake):
            if is_on_trial:
                forget()
            return verdict(mistake, **where)
    finally:
        if is_on_trial:
            forget()


def judged_at(mistake: Mistake, place: tuple[str, str]) -> str:
    """Returns the same in one mode and dtype alone."""
    mode, dtype = place
    return judged(mistake, modes=[mode], dtypes=[dtype])


def grade(mistake: Mistake, complaint: str) -> tuple[bool, bool, str]:
    """Whether it was found, whether the place is right, and the cause: "right", "silent" or "misleading"."""
    if not complaint:
        return False, False, "silent"
    place, _, said = complaint.partition(": ")[2].partition(": ")[2].partition(": ")
    located = mistake.where in f"{place}"
    said = said.split("; ")[0]
    if mistake.cause and re.search(mistake.cause, said):
        return True, located, "right"
    # symptoms: an operation that raises names its line, and no cause
    symptoms = r"(all \d+|\d+ of \d+) elements?|nan at|-?inf at|-?[\d.e+-]+, where|shape \(|all zero|.*, raised at "
    silent = re.match(symptoms, said) is not None
    return True, located, "silent" if silent else "misleading"
