"""Where formulas change: 0, ±1, ±3, 6 and ±½ are put into the inputs, and held against the slopes of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfbp.checking.instruments.slopes import Slope
from tfbp.checking.questions import locate
from tfbp.checking.subject import Program, Values
from tfbp.checking.trial import Trial, arrays
from tfbp.judging.failures import Failure, attempt

SPECIAL = (0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, -0.5)

# a slope that is as much larger than the gradient at the test point is that of a pole
POLE = 1e10


@dataclass
class Special:
    """A test point with special numbers in one input, and both sides' slopes at them, by their flat places."""

    name: str
    index: int
    values: Values
    slopes: dict[int, Slope] = field(default_factory=dict)


def in_mode(trial: Trial, run: Callable[..., Any], mode: str) -> None:
    """Hold a mode's gradient at the special numbers against the slopes there, and against the eager one."""
    for special in trial.special:
        answer, eager = (
            attempt(run, special.values, trial.upstream),
            attempt(trial.program.run, special.values, trial.upstream),
        )
        if isinstance(answer, Failure) or isinstance(eager, Failure) or special.name in trial.refuted:
            continue
        if any((f.argument, f.mode) == (special.name, mode) for f in trial.findings):
            continue
        theirs, own = arrays(answer[1])[special.index], arrays(eager[1])[special.index]
        if theirs is None or theirs.shape != own.shape:
            continue
        place = trial.program.where[special.index]
        for flat, slope in special.slopes.items():
            got, before, x = float(theirs.flat[flat]), float(own.flat[flat]), special.values[place].flat[flat]
            rounding = _digits(trial, special.index) * max(abs(slope.low), abs(slope.high), 1e-9)
            if abs(got - before) <= rounding:
                continue
            sentence = f"where {special.name} is {x:g} the gradient is {got:.6g}, and {before:.6g} eagerly"
            if slope.off(got, rounding) <= 1:
                trial.notes.append(f"{mode} takes another side of a kink: {sentence}; both are between the two slopes")
            else:
                trial.find(special.name, "", sentence, "kink", slope.off(got, rounding), mode=mode)
            break


def _digits(trial: Trial, index: int) -> float:
    """How far a gradient may be off at a special number, relative to its size: as far as at the test point, where it
    may go through a narrower type, and no less than differences can tell."""
    own, tolerance = trial.gradients[index], trial.tolerances[1][index]
    if own is None or tolerance is None or not own.any():
        return 1e-6
    share = float(np.sqrt(np.mean(np.square(tolerance))) / np.sqrt(np.mean(np.square(own))))
    return max(1e-6, 4 * share) if np.isfinite(share) else 1e-6


def special_values(trial: Trial) -> tuple[Values, dict[int, list[int]]]:
    """The test point with special numbers in some places of each input; and these places."""
    values, places = list(trial.values), {}
    for place in trial.subject.differentiable:
        count = min(len(SPECIAL), max(1, values[place].size // 3))
        chosen = trial.rng.choice(values[place].size, count, replace=False)
        changed = values[place].copy()
        changed.flat[chosen] = SPECIAL[:count]
        values[place] = changed
        places[place] = [int(c) for c in chosen]
    return values, places


def examine(trial: Trial, oracle: Program | None, own: bool) -> None:
    """Judge the gradient at the special numbers; each input by itself, because one may raise an error there."""
    where, before = dict(zip(trial.program.where, trial.program.names, strict=True)), trial.values
    values, places = special_values(trial)
    for place, chosen in places.items():
        name, i = where[place], trial.program.where.index(place)
        if name in trial.refuted or trial.gradients[i] is None:
            continue
        trial.values = [values[j] if j == place else v for j, v in enumerate(before)]
        try:
            _one(trial, oracle, own, name, i, chosen)
        finally:
            trial.values = before


def _one(trial: Trial, oracle: Program | None, own: bool, name: str, index: int, chosen: list[int]) -> None:
    place = trial.program.where[index]
    run = attempt(trial.program.run, trial.values, trial.upstream)
    if isinstance(run, Failure) or not all(np.isfinite(o).all() for o in arrays(run[0])):
        return  # not defined there
    mine = arrays(run[1])[index]
    meant = None
    if oracle is not None and not own:
        theirs = attempt(oracle.run, trial.values, trial.upstream)
        meant = None if isinstance(theirs, Failure) else arrays(theirs[1])[index]
    on_kinks = []
    special = Special(name, index, trial.values)
    trial.special.append(special)
    for flat in chosen:
        x = trial.values[place].flat[flat]
        got = mine.flat[flat]
        answer = attempt(locate.one_element, trial, place, flat, float(got))
        if isinstance(answer, Failure) or not np.isfinite([answer.low, answer.high, answer.error]).all():
            continue
        scale = max(abs(answer.low), abs(answer.high))
        if answer.error > 1e-3 * max(scale, 1e-3) or scale > POLE * (1 + np.abs(trial.gradients[index]).max()):
            continue  # there is no slope: a cusp, a jump or a pole
        special.slopes[flat] = answer
        rounding = _digits(trial, index) * (scale + float(np.sqrt(np.mean(mine[np.isfinite(mine)] ** 2))))
        if meant is not None and np.isfinite(got) and abs(got - meant.flat[flat]) <= rounding:
            continue
        off = answer.off(float(got), rounding) if np.isfinite(got) else np.inf
        if off <= 1:
            if answer.kink:
                on_kinks.append(f"{x:g}")
            continue
        sides = f"both slopes are {answer.low:.6g}"
        if answer.kink:
            sides = f"the slopes of the two sides are {answer.low:.6g} and {answer.high:.6g}"
        at = [int(p) for p in np.unravel_index(flat, mine.shape)]
        trial.refuted.add(name)
        trial.find(name, f"at {at}", f"where {name} is {x:g} the gradient is {got:.6g}, and {sides}", "kink", off)
        return
    if on_kinks:
        sentence = ", ".join(dict.fromkeys(on_kinks))
        trial.notes.append(
            f"{name}: a kink at {sentence}; its gradient there is between the slopes of both sides: accepted"
        )
