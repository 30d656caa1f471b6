"""Compares one cell of the matrix, a case in one dtype, mode and device, locally and end to end."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tfbp import manual, reference, tape
from tfbp.agreement import clues
from tfbp.agreement.arguments import as_tensors, rounded_inputs, typed
from tfbp.agreement.local import (
    SEED,
    Inputs,
    by_reference,
    local_manual,
    local_reference,
    local_tape,
    local_tolerances,
)
from tfbp.agreement.problems import Case, Problem, problem
from tfbp.agreement.programs import MODES as MODES
from tfbp.agreement.programs import Cell as Cell
from tfbp.agreement.programs import Named, on, remembered, run_each, with_constants
from tfbp.agreement.programs import Result as Result
from tfbp.agreement.tolerances.whole_pass import errors_of_the_pass
from tfbp.judging.comparison import Comparison, compare
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt, failure
from tfbp.judging.placement import array_from
from tfbp.judging.tolerances import Units
from tfbp.network import Network, at

WRITINGS: dict[str, Any] = {"manual": manual, "tape": tape}
LOCAL: dict[str, Callable[..., Named]] = {"manual": local_manual, "tape": local_tape}
PAIRS = ("manual-reference", "tape-reference", "manual-tape")
SCOPES = ("local", "end to end")
_WHOLE_PASS = "a whole pass"  # the name of its tensors where it raised
_WIDE = {"loss", "losses", "outputs", "dlosses", "doutputs"}  # at least float32


def run_cell(cell: Cell, remember: Collection[str] = ()) -> list[Result]:
    """Returns every comparison of one cell: three pairs of writings, each locally and end to end.

    Args:
        remember: the writings that run once for all modes. By default the reference, because its tolerances take
            most of a cell's time; another one where only it does not change.
    """
    try:
        known = _remembered(replace(cell, mode="eager")) if "reference" in remember else right_answers(cell)
    except Exception as error:  # the reference may be wrong too
        return [Result(cell, "reference", "local", Comparison("", np.inf, np.inf, failure(error).sentence))]
    expected, tolerances, hints = known.expected, known.tolerances, known.hints
    got = {
        writing: _remembered_answers(cell, writing) if writing in remember else answers(cell, writing, known)
        for writing in WRITINGS
    }
    results = [
        Result(cell, f"{writing}-reference", "end to end", compare(_WHOLE_PASS, raised, 0.0, 0.0))
        for writing in WRITINGS
        if isinstance(raised := got[writing]["end to end"].get(_WHOLE_PASS), Failure)
    ]
    masks = [f"layer {node.name}" for node in cell.case.network.nodes if node.layer.makes_mask]
    of_masks = {f"{layer} {tensor}" for layer in masks for tensor in ("z", "y", "dy", "dz")}
    for scope, right in expected.items():
        for name, value in right.items():
            # a weight without a gradient has float32 at least
            is_wide = name.split()[0] in _WIDE or " new " in name
            dtype = ("float64" if cell.dtype == "float64" else "float32") if is_wide else cell.dtype
            for pair in PAIRS:
                left, other = pair.split("-")
                if name not in got[left][scope] or (other == "tape" and name not in got["tape"][scope]):
                    continue  # a tensor that a writing does not return, such as the tape's dy
                if name in of_masks and name.endswith(" dz") and "tape" in pair:
                    continue  # a mask is made of booleans, which a tape does not follow
                target, tolerance = value, tolerances[left][scope][name]
                if other == "tape":
                    tensor_of_tape = got["tape"][scope][name]
                    if isinstance(tensor_of_tape, Failure) or np.shape(tensor_of_tape) != np.shape(value):
                        continue  # reported already
                    target, tolerance = tensor_of_tape.astype(np.float64), tolerance + tolerances["tape"][scope][name]
                tensor = got[left][scope][name]
                # a mask may have any dtype that holds 1 and 0
                expected_dtype = str(getattr(tensor, "dtype", dtype)) if name in of_masks else dtype
                comparison = compare(name, tensor, target, tolerance, expected_dtype, hints[scope].get(name))
                results.append(Result(cell, pair, scope, comparison))
        results += _accused(cell, scope, results, right, got["manual"][scope], hints[scope])
    return results


def _accused(
    cell: Cell, scope: str, results: list[Result], values: Named, by_manual: Named, hints: Named
) -> list[Result]:
    """Compares the reference with manual where two writings contradict it, to find the cause in its numbers.

    If only manual returns a tensor, the tape contradicts the reference by any other tensor of the scope.
    """
    of_scope = [r for r in results if r.scope == scope]
    tape_too = any(r.pair == "tape-reference" and not r.comparison.agrees for r in of_scope)
    accused = []
    for name, value in values.items():
        of_tensor = {r.pair: r.comparison for r in of_scope if r.comparison.tensor == name}
        agrees = {pair: comparison.agrees for pair, comparison in of_tensor.items()}
        if len(of_tensor) == len(PAIRS):
            # the tolerances are the reference's too: if it is wrong, they may be too small
            apart, from_reference = (of_tensor[pair].relative_error for pair in ("manual-tape", "manual-reference"))
            agrees["manual-tape"] |= apart <= 1e-3 * from_reference
        both = {"manual-reference": False, "tape-reference": False, "manual-tape": True}
        if agrees == both or (agrees == {"manual-reference": False} and tape_too):
            if isinstance(by_manual[name], Failure):
                continue  # it has no numbers to compare with the reference's
            right = by_manual[name].astype(np.float64)
            tolerance = 16 * np.abs(right) * Units.of(cell.dtype).out
            comparison = compare(name, np.asarray(value), right, tolerance, clues=_other_than(value, hints.get(name)))
            accused.append(Result(cell, "reference-manual", scope, comparison))
    return accused


def _other_than(value: np.ndarray, hint: Callable[[], Clues] | None) -> Callable[[], Clues]:
    """Returns the clues that are not the accused reference's own values: it computed them all."""

    def made() -> Clues:
        known = Clues() if hint is None else hint()
        mistakes, others = (
            {said: other for said, other in of.items() if not np.array_equal(other, value)}
            for of in (known.mistakes, known.others)
        )
        return replace(known, mistakes=mistakes, others=others)

    return made


@dataclass(frozen=True)
class Right:
    """Returns a case's right results in a dtype, for every mode: by scope, and tolerances by writing and scope."""

    numbers: Problem
    rounded: Inputs
    expected: dict[str, Named]
    tolerances: dict[str, dict[str, Named]]
    hints: dict[str, Named]


def right_answers(cell: Cell) -> Right:
    """Computes them by the reference; its sensitivity gives the tolerances."""
    network, numbers = cell.case.network, problem(cell.case, cell.dtype)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    loss, gradients, tensors = reference.loss_gradients_and_tensors(network, *arguments, **options_of(cell.case))
    rounded = rounded_inputs(cell, numbers, tensors)
    expected = {
        "local": local_reference(network, rounded, cell.case.training),
        "end to end": in_order(network, loss, gradients, tensors),
    }
    units = {writing: Units.of(cell.dtype, writing, cell.tf32, cell.device) for writing in WRITINGS}
    # both writings usually have the same tolerances
    limits = {unit: _tolerances(cell, unit, numbers, rounded) for unit in set(units.values())}
    run = partial(by_reference, training=cell.case.training)
    hints = {
        "local": clues.local(network, rounded, run),
        "end to end": clues.end_to_end(network, numbers, tensors, run),
    }
    return Right(numbers, rounded, expected, {writing: limits[each] for writing, each in units.items()}, hints)


_remembered = remembered(right_answers)


def answers(cell: Cell, writing: str, known: Right) -> dict[str, Named]:
    """Returns a writing's results in the cell, by scope and name, as arrays; local and end to end in one program."""
    network, numbers, rounded, expected = cell.case.network, known.numbers, known.rounded, known.expected
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    constants = cell.case.constants if writing == "manual" else {}
    with on(cell), with_constants(constants):
        fed = {"local": as_tensors(rounded, cell), **typed(cell, *arguments)}

        def program(fed: Any) -> Named:
            local = LOCAL[writing](network, fed["local"], cell.case.training)
            whole = attempt(
                WRITINGS[writing].loss_gradients_and_tensors,
                network,
                fed["parameters"],
                fed["x"],
                fed["y"],
                fed["sample_weight"],
                **options_of(cell.case),
            )
            if not isinstance(whole, Failure):
                whole = attempt(in_order, network, *whole)
            if isinstance(whole, Failure):
                whole = {_WHOLE_PASS: whole}
            return {
                **{f"local {name}": value for name, value in local.items()},
                **{f"end to end {name}": value for name, value in whole.items()},
            }

        names = [f"{scope} {name}" for scope, right in expected.items() for name in right]
        names.append(f"end to end {_WHOLE_PASS}")
        got = run_each(program, fed, cell.mode, names)
    return {
        scope: {
            name: array_from(got[f"{scope} {name}"], cell.device)
            for name in (*right, _WHOLE_PASS)
            if f"{scope} {name}" in got
        }
        for scope, right in expected.items()
    }


@remembered
def _remembered_answers(cell: Cell, writing: str) -> dict[str, Named]:
    return answers(cell, writing, _remembered(replace(cell, mode="eager")))


def _tolerances(cell: Cell, units: Units, numbers: Problem, rounded: Inputs) -> dict[str, Named]:
    network = cell.case.network
    errors = errors_of_the_pass(network, numbers, units, options_of(cell.case))
    local = local_tolerances(network, rounded, units, cell.case.training)
    return {"local": local, "end to end": in_order(network, *errors)}


def options_of(case: Case) -> dict[str, Any]:
    """Returns the options of a whole pass; none by default."""
    draws = {"seed": SEED} if case.network.draws and case.training else {}
    return draws if case.training else {"training": False}


def in_order(network: Network, loss: Any, gradients: Any, tensors: Any) -> Named:
    """Returns the results of a whole pass by name, in the order of computation, without missing ones."""
    *_, last = tensors
    nodes = [(node, f"layer {node.name}", at(tensors, node.at)) for node in network.nodes]
    out: Named = {}
    for _, put, tensor in nodes:
        out.update({f"{put} {name}": tensor[name] for name in ("z", "y")})
        out.update({f"{put} new {name}": w for name, w in tensor.get("new_weights", {}).items()})
    for names in (("outputs", "losses"), ("dlosses", "doutputs")):
        for number in range(len(network.losses)):
            put = "" if len(network.losses) == 1 else f" {number}"
            out.update({f"{name}{put}": last[name][number] if put else last[name] for name in names if name in last})
        out.setdefault("loss", loss)
    for node, put, tensor in reversed(nodes):
        out.update({f"{put} {name}": tensor[name] for name in ("dy", "dz") if name in tensor})
        if not node.layer.parts and not node.calls_before:
            out.update({f"{put} d{name}": dw for name, dw in at(gradients, node.place).items()})
    return out


def is_result(tensor: str) -> bool:
    """Whether a tensor of that name is a result of a pass: the loss, or a weight's gradient."""
    return tensor == "loss" or re.fullmatch(r"layer \S+ d(?![xyz]$)\w+", tensor) is not None


def first_wrong(results: list[Result]) -> Result | None:
    """Returns the first disagreement of the first wrong cell: local before end to end, forward before backward."""
    for found in by_cell(results):
        wrong = [result for result in found if not result.comparison.agrees]
        if wrong:
            return min(wrong, key=lambda result: result.scope == "end to end")
    return None


def at_fault(results: list[Result], wrong: Result) -> tuple[str, Comparison]:
    """Returns the writing that a disagreement is attributed to, and the comparison that shows it.

    Where manual and tape agree with each other and not with the reference, it is the reference.
    """
    left = wrong.pair.split("-")[0]
    if wrong.scope not in SCOPES or left == "reference":
        return left, wrong.comparison
    of_scope = [r for r in results if r.cell == wrong.cell and r.scope == wrong.scope]
    of_tensor = {r.pair: r.comparison for r in of_scope if r.comparison.tensor == wrong.comparison.tensor}
    accused = of_tensor.get("reference-manual")
    return (left, wrong.comparison) if accused is None else ("reference", accused)


def by_cell(results: list[Result]) -> Iterator[list[Result]]:
    """Yields the results of each cell, in the order of the cells."""
    groups: dict[Cell, list[Result]] = {}
    for result in results:
        groups.setdefault(result.cell, []).append(result)
    return iter(groups.values())


def cells(cases: list[Case], dtypes: Any, modes: Any, device: str = "cpu", tf32: Any = (False,)) -> list[Cell]:
    """Returns the cells, the cheapest and sharpest first. Only float32 on a GPU has TF32 as an axis."""
    plain = [Cell(case, dtype, mode, device) for mode in modes for dtype in dtypes for case in cases]
    return [
        replace(cell, tf32=on)
        for cell in plain
        for on in (tf32 if device == "gpu" and cell.dtype == "float32" else (False,))
    ]
