"""Judges a model as one program: its sums at forks, its masks, and errors that no layer alone explains."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.of_models import whole
from tfbp.agreement.of_models.layers import has_few_digits, in_mode
from tfbp.agreement.of_models.links import LOSS, Links, exceeding
from tfbp.agreement.of_models.passes import Pass, named_pass, tolerances_of_the_pass
from tfbp.agreement.of_models.report import ModelFinding
from tfbp.agreement.of_models.running import tensors_of
from tfbp.agreement.of_models.truth import REFERENCE
from tfbp.judging.arrays import as_float64
from tfbp.judging.comparison import compare
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF

# factor of T: a compiler may reorder sums and approximate functions differently
WIDER = {"eager": 1.0, "graph": 1.0, "xla": 2.0}
# in unit roundoffs: sums may be in another order at every run
MOST_SPREAD = 64


def judge_whole(trial: Any, dtype: str, mode: str, is_explained: bool) -> None:
    """Runs the model as one program, with every tensor visible, and then as it is.

    Args:
        is_explained: whether a single layer is wrong: its consequences are not findings.
    """
    model, copies = trial.model, trial.copies
    inputs = tensors_of(trial.right.made[: model.inputs], dtype)
    # a batch of fewer rows comes first, unless the draws were recorded for all rows
    fewer = (
        None if any(record.draws.numbers for record in trial.recorded) else [x[: max(1, len(x) - 1)] for x in inputs]
    )

    def program(run: Any) -> Any:
        for call in model.calls:
            if call.is_layer:
                copies.assign(call.operation, copies.of(call, dtype), dtype)
        options = (trial.objective, trial.recorded, dtype)
        before = None if fewer is None else {"x": fewer}
        answer = attempt(in_mode, lambda fed: run(model, *options, fed["x"]), {"x": inputs}, mode, before)
        if isinstance(answer, Failure) and not is_explained:
            trial.find(model.model.name, compare("every tensor", answer, 0.0, 0.0), dtype, mode, "whole", "")
        return answer

    visible = program(partial(whole.whole_pass, copies=copies))
    worst = np.inf
    if not isinstance(visible, Failure):
        _masks_kept(trial, visible, dtype, mode)
        for place, comparison in whole.forks(model, visible, dtype, WIDER[mode]):
            if not comparison.agrees:
                trial.find(place.layer, comparison, dtype, mode, place.part, "")
                is_explained = True
        if mode == "eager":
            _repeats(trial, visible, program(partial(whole.whole_pass, copies=copies)), dtype)
        worst = _by_links(trial, visible, dtype, mode, is_explained)
        if worst <= 1 and not is_explained and _is_itself(trial, dtype) and len(model.calls) > 1:
            worst = max(worst, _as_it_is(trial, visible, program(whole.as_it_is), dtype, mode))
    trial.report.whole[f"{dtype} {mode}"] = worst


def _by_links(trial: Any, answer: Any, dtype: str, mode: str, is_explained: bool) -> float:
    """Returns the worst ratio of a run with visible tensors, each compared with the right answer to those before it."""
    links = Links(trial, answer, dtype, WIDER[mode])
    while True:
        right, limits = links.passes()
        wrong = list(exceeding(answer, named_pass(trial.model, right), limits))
        if not any([links.measure(key) for key in wrong]):
            break

    def has_few(key: str) -> bool:
        return any(index != LOSS and trial.model.calls[index].name in trial.few_digits for index in links.behind(key))

    worst, found = _compared(trial, answer, right, limits, dtype, mode, has_few)
    if not is_explained:
        _find_first(trial, found, dtype, mode)
    return worst


def _as_it_is(trial: Any, visible: Any, answer: Any, dtype: str, mode: str) -> float:
    """Returns the worst ratio of the model itself: 0 where its numbers are those of the run with visible tensors."""
    if isinstance(answer, Failure):
        return np.inf
    if all(key in visible and np.array_equal(as_float64(t), as_float64(visible[key])) for key, t in answer.items()):
        return 0.0
    if trial.limits is None:
        upstream = trial.objective.upstream
        trial.limits = tolerances_of_the_pass(trial.model, trial.truths, trial.arrays, upstream, dtype, trial.right)
    # where a layer's own formula rounds by more than the reference's, so do the tensors after it
    known = [truth.by == REFERENCE for truth in trial.truths]
    more = (
        4.0 if any(of == dtype and comparison and known[i] for (i, of), comparison in trial.formulas.items()) else 1.0
    )
    # T is three standard deviations of an error; the largest of n such errors is √(2 ln n)
    count = sum(np.size(limit) for limit in trial.limits.values())
    more *= WIDER[mode] * max(1.0, math.sqrt(2 * math.log(count)) / 3)
    limits = {key: more * limit for key, limit in trial.limits.items()}
    worst, wrong = _compared(trial, answer, trial.right, limits, dtype, mode)
    if dtype != "float64" or not trial.few_digits:
        _find_first(trial, wrong, dtype, mode)
    return worst


def _compared(
    trial: Any, answer: Any, right: Pass, limits: Any, dtype: str, mode: str, few: Any = None
) -> tuple[float, list[tuple[Any, Any]]]:
    """Returns the worst ratio of a run, and the places and comparisons of its wrong tensors.

    Args:
        few: whether few digits of a key's tensor are right in float64, as a note says.
    """
    expected = named_pass(trial.model, right)
    worst, wrong = 0.0, []
    for key, place in whole.in_order(trial.model, expected):
        if key not in answer:
            continue
        clues = partial(whole.shared_terms, trial.model, right, key) if place.part == "shared" else None
        got = answer[key]
        comparison = compare(place.tensor, got, expected[key], limits[key], got.dtype.name, clues)
        if dtype == "float64" and few is not None and has_few_digits(comparison) and few(key):
            continue
        worst = max(worst, comparison.ratio)
        if comparison.agrees:
            trial.acquit(place.layer, place.tensor, got, expected[key], dtype, mode)
        else:
            wrong.append((place, comparison))
    return worst, wrong


def _find_first(trial: Any, wrong: list[tuple[Any, Any]], dtype: str, mode: str) -> None:
    """Makes the first wrong tensor a finding; one whose terms are shared comes first."""
    if wrong:
        place, comparison = next((pair for pair in wrong if pair[0].part == "shared"), wrong[0])
        after = f"{len(wrong) - 1} more tensors are, too" if len(wrong) > 1 else ""
        trial.find(place.layer, comparison, dtype, mode, place.part, after)


def _repeats(trial: Any, first: Any, again: Any, dtype: str) -> None:
    """Compares two runs; a small spread becomes a note with its size, a large one a finding."""
    if isinstance(again, Failure):
        return
    spread, widest = 0.0, ""
    for key, place in whole.in_order(trial.model, named_pass(trial.model, trial.right)):
        if key in first and key in again:
            a, b = as_float64(first[key]), as_float64(again[key])
            size = float(np.abs(a).max(initial=0.0)) or 1.0
            off = float(np.abs(a - b).max(initial=0.0)) / size
            if off > spread:
                spread, widest = off, f"{place.layer} {place.tensor}"
            if off > MOST_SPREAD * UNIT_ROUNDOFF[dtype]:
                sentence = f"another at every run, by {off:.1e} of its size"
                trial.report.findings.append(
                    ModelFinding(place.layer, place.tensor, dtype, "eager", "repeat", sentence)
                )
                return
    if spread:
        trial.report.notes.append(f"{widest} [{dtype}]: from run to run it moves by {spread:.1e} of its size")


def _masks_kept(trial: Any, answer: Any, dtype: str, mode: str) -> None:
    """Checks that the same masks reach each layer, and the losses, as in the recorded run."""
    reached = [
        (call.name, f"mask {number} {index}", mask)
        for index, call in enumerate(trial.model.calls)
        for number, mask in zip(call.takes, trial.recorded[index].masks, strict=True)
    ]
    ends = zip(trial.model.output_names, trial.model.outputs, trial.objective.masks, strict=True)
    reached += [(f"the loss of {name}", f"mask {number} loss", mask) for name, number, mask in ends]
    for name, key, mask in reached:
        got = answer.get(key)
        if (mask is None) != (got is None) or (mask is not None and not np.array_equal(got.numpy(), mask)):
            what = "none reaches it" if got is None else "another reaches it"
            finding = ModelFinding(name, "mask", dtype, mode, "mask", f"{what} than in an eager run")
            trial.report.findings.append(finding)


def _is_itself(trial: Any, dtype: str) -> bool:
    """Whether the model's own layers have the dtype, so that it can run as it is."""
    return all(not call.is_layer or trial.copies.of(call, dtype) is call.operation for call in trial.model.calls)
