"""Who is right: compares the function's backward, an oracle, a reference, and differences of the forward."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.checking.instruments.hypotheses import Hypotheses
from tfbp.checking.instruments.noise import Noise
from tfbp.checking.instruments.slopes import PLAIN, Slope
from tfbp.checking.questions import contract, locate
from tfbp.checking.questions.twins import Reference
from tfbp.checking.subject import Program
from tfbp.checking.trial import NEARER, Trial, arrays
from tfbp.errors import InputError
from tfbp.judging.comparison import compare
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF

ON_PURPOSE = (
    "if that is on purpose (a straight-through estimator, a stop_gradient), give an oracle that autodiff "
    "differentiates as you mean it"
)

# a slope is good to fewer digits than there are between the sizes of two bands
BAND = 2.0**-24
MOST_BANDS = 6


def gradients(trial: Trial, oracle: Program | None, reference: Reference | None, own: bool) -> None:
    """Judge each gradient, and keep those that are right in the trial."""
    program = trial.program
    theirs: list[Any] = [None] * len(program.names)
    rounding = [0.0] * len(program.names)
    if oracle is not None:
        run = attempt(oracle.run, trial.values, trial.upstream)
        if isinstance(run, Failure):
            if not own:
                raise InputError(f"oracle: got {run.sentence}; accepted: a twin that autodiff can differentiate.")
            oracle = None
        else:
            theirs = arrays(run[1])
            # a large oracle's roundings are taken to be as the function's own
            rounding = list(trial.tolerances[1])
            if not trial.large:
                rounding = Noise(oracle, 3).tolerances(program.dtype, trial.values, trial.upstream)[1]
            zeros = [np.zeros_like(trial.values[i]) for i in program.where]
            theirs = [z if t is None else t for t, z in zip(theirs, zeros, strict=True)]
            rounding = [0.0 if r is None else r for r in rounding]
    trial.right = theirs if oracle is not None else list(trial.gradients)
    hints = Hypotheses(program, trial.values, trial.upstream, list(trial.right), oracle)
    if trial.large and _all_agree(trial, theirs, rounding):
        return
    for i, name in enumerate(program.names):
        found = _Opinions(trial, i, theirs[i], rounding[i], reference)
        _judge(trial, found, hints, own, name)
    if oracle is not None:
        _each_output(trial, oracle, rounding)


def _all_agree(trial: Trial, theirs: list[Any], rounding: list[Any]) -> bool:
    """Of many numbers, first all gradients together, along one direction: only if that disagrees, each by itself."""
    own, places = trial.gradients, trial.program.where
    if trial.refuted or any(method is None for method in own):
        return False
    for i, name in enumerate(trial.program.names):
        if theirs[i] is not None:
            found = compare(name, own[i], theirs[i], trial.tolerances[1][i] + rounding[i])
            trial.worst = max(trial.worst, min(found.ratio, 1.0))
            if not found.agrees:
                return False
    directions = {place: trial.direction(place) for place in places}
    got, slack = 0.0, 0.0
    for i, place in enumerate(places):
        got += float(np.vdot(own[i], directions[place]))
        slack += float(np.sum(trial.tolerances[1][i] * np.abs(directions[place])))
    return trial.slope(directions).off(got, slack) <= 1


def _each_output(trial: Trial, oracle: Program, rounding: list[Any]) -> None:
    """The upstream gradient of each output alone: what is wrong with one may cancel what is wrong with another."""
    count = len(trial.upstream)
    for k in range(count if 1 < count <= 8 else 0):
        alone = [u if j == k else 0 * u for j, u in enumerate(trial.upstream)]
        runs = [attempt(program.run, trial.values, alone) for program in (trial.program, oracle)]
        if any(isinstance(run, Failure) for run in runs):
            continue
        (mine, theirs) = (arrays(run[1]) for run in runs)
        for i, name in enumerate(trial.program.names):
            if mine[i] is None or theirs[i] is None or name in trial.refuted:
                continue
            spread = trial.tolerances[1][i] + rounding[i]
            comparison = compare(name, mine[i], theirs[i], 8 * (spread + float(np.sqrt(np.mean(np.square(spread))))))
            if not comparison.agrees:
                trial.refuted.add(name)
                named = f": {comparison.cause}" if comparison.cause else ""
                cause = f"for the upstream gradient of output {k} alone{named}"
                trial.find(name, comparison.extent, cause, "gradient", comparison.ratio)


class _Opinions:
    """The opinions on one gradient."""

    def __init__(self, trial: Trial, index: int, oracle: Any, rounding: Any, reference: Reference | None) -> None:
        self.trial, self.index, self.oracle = trial, index, oracle
        self.own, self.place = trial.gradients[index], trial.program.where[index]
        own_rounding = 0.0 if self.own is None else trial.tolerances[1][index]
        self.rounding = own_rounding + (0.0 if oracle is None else rounding)
        self.direction = trial.direction(self.place)
        self.slope = trial.slope({self.place: self.direction})
        # elements that no difference can judge, of many
        self.edges = 0
        if self.own is not None:
            self._look_nearer()
            if not np.isfinite(self.slope.doubt) and self.own.size > locate.FEW:
                self._leave_out_edges()
        self.reference: Slope | None = None
        if reference is not None and self.place < len(trial.subject.values):
            self.reference = trial.slope({self.place: self.direction}, reference.at)

    @property
    def slack(self) -> float:
        return float(np.sum(self.rounding * np.abs(self.direction)))

    def off(self, gradient: np.ndarray, slope: Slope) -> float:
        return slope.off(float(np.vdot(gradient, self.direction)), self.slack)

    def _look_nearer(self) -> None:
        """Take smaller steps, and steps that are small beside each entry, where these know better."""
        self.slope = self._nearest(self.direction, self.slope)
        by_entry = self.trial.direction_by_entry(self.place)
        if by_entry is None:
            return
        is_settled = self.slope.settles(float(np.vdot(self.own, self.direction)), self.slack)
        slope = self._nearest(by_entry, self.trial.slope({self.place: by_entry}))
        # beside the gradient of a tiny entry, which may be large, a wrong one is nothing: along both it has to be right
        is_better = slope.doubt <= PLAIN if is_settled else slope.doubt < self.slope.doubt
        if is_better:
            self.direction, self.slope = by_entry, slope

    def _leave_out_edges(self) -> None:
        """Take a direction in which the function is finite on both sides, if there is one."""
        found = locate.edges(self.trial, self.place, self.direction)
        self.edges = len(found)
        self.direction.flat[found] = 0.0
        self.slope = self._nearest(self.direction, self.trial.slope({self.place: self.direction}))

    def take_a_wrong_band(self) -> None:
        """Of elements whose parts in the slope are of very different sizes, try those of small ones by themselves: in
        the slope of all, a mistake in them is nothing. Take their direction where one is wrong."""
        parts = np.abs(self.own * self.direction)
        most = float(parts.max())
        for _ in range(MOST_BANDS):
            most *= BAND
            inside = (parts <= most) & (parts > most * BAND)
            if not ((parts > 0) & (parts <= most)).any():
                return
            direction = np.where(inside, self.direction, 0.0)
            slope = self._nearest(direction, self.trial.slope({self.place: direction})) if inside.any() else None
            if slope and slope.doubt <= PLAIN:
                got, slack = float(np.vdot(self.own, direction)), float(np.sum(self.rounding * np.abs(direction)))
                if slope.off(got, slack) > 1:
                    self.direction, self.slope = direction, slope
                    return

    def _nearest(self, direction: np.ndarray, slope: Slope) -> Slope:
        """The slope, or where it is not the gradient's, the one by smaller steps, if that knows better."""
        got, slack = float(np.vdot(self.own, direction)), float(np.sum(self.rounding * np.abs(direction)))
        if slope.off(got, slack) <= 1:
            return slope

        def nearer(size: float) -> Slope:
            return self.trial.slope({self.place: NEARER * size * direction}).over(NEARER * size)

        return slope.or_nearer(nearer, got, slack)


def _judge(trial: Trial, found: _Opinions, hints: Hypotheses, own: bool, name: str) -> None:
    oracle, mine, i = found.oracle, found.own, found.index
    if mine is None:
        if name not in trial.refuted:
            contract.missing(trial, i, oracle, found.slope.value, found.slope.error + 1e-12)
        return
    if name in trial.refuted:  # upstream is ignored or used wrongly: the report has that already
        return
    if oracle is None:
        _without_oracle(trial, found, hints, name)
        _of_reference(trial, found, mine, name)
        return
    against = compare(name, mine, oracle, found.rounding, clues=hints.clues(i))
    mine_off, oracle_off = found.off(mine, found.slope), found.off(oracle, found.slope)
    if against.agrees:
        trial.worst = max(trial.worst, against.ratio, min(mine_off, 1.0))
        if mine_off > 1:
            text = "differences of the forward disagree with its gradient"
            if own:
                trial.refuted.add(name)
                trial.find(
                    name, _slopes(found, mine), f"{text}, and so does autodiff; {ON_PURPOSE}", "gradient", mine_off
                )
            else:
                trial.notes.append(f"{name}: {text}, but the oracle agrees with it: it is taken as meant so")
        _of_reference(trial, found, mine, name)
        return
    # differences decide between two: an oracle that they refute while they bear the function out is the outlier
    if mine_off <= 1 < oracle_off and not own:
        trial.right[i] = mine
        cause = "the oracle is the outlier: differences of the forward agree with the function's own gradient"
        trial.find(f"oracle: {name}", against.extent, cause, "gradient", against.ratio)
        return
    trial.refuted.add(name)
    trial.find(name, against.extent, against.cause, "gradient", against.ratio)


def _without_oracle(trial: Trial, found: _Opinions, hints: Hypotheses, name: str) -> None:
    """Differences alone: along a direction, and where that disagrees, or there are few, element by element."""
    mine = found.own
    if found.off(mine, found.slope) <= 1 and mine.size > locate.FEW and trial.unit == UNIT_ROUNDOFF["float64"]:
        found.take_a_wrong_band()
    off = found.off(mine, found.slope)
    is_large = mine.size > locate.FEW
    if is_large and found.edges:
        trial.notes.append(_beside_edges(name, found.edges))
    if off <= 1 and is_large:
        trial.worst = max(trial.worst, off)
        return
    judged = locate.elements(trial, found.place, mine, found.rounding, found.direction, everything=not off <= 1)
    if judged.kinks:
        trial.notes.append(
            f"{name}: {judged.kinks} of {mine.size} elements on a kink, where all between the two slopes is accepted"
        )
    if judged.unknown:
        trial.notes.append(_beside_edges(name, judged.unknown))
    # a direction may have taken two sides of a kink for one slope, or a pole for none: the elements know better
    is_known = np.isfinite(found.slope.doubt) and not (found.slope.kink or found.slope.crossed)
    if judged.ratio <= 1 and (off <= 1 or judged.right is not None or not is_known):
        trial.worst = max(trial.worst, judged.ratio)
        return
    trial.refuted.add(name)
    if judged.right is not None:
        trial.right[found.index] = hints.right[found.index] = judged.right
        against = compare(name, mine, judged.right, judged.tolerance, clues=hints.clues(found.index))
        trial.find(name, against.extent, against.cause, "gradient", max(judged.ratio, off))
    else:
        trial.find(name, judged.words or _slopes(found, mine), judged.cause, "gradient", max(judged.ratio, off))


def _beside_edges(name: str, count: int) -> str:
    return f"{name}: beside {count} of its elements no difference is finite: not judged there"


def _of_reference(trial: Trial, found: _Opinions, mine: np.ndarray, name: str) -> None:
    """The reference's own slope, where function and differences are at one."""
    if found.reference is None or name in trial.refuted or found.reference.kink:
        return
    off = found.off(mine, found.reference)
    apart = abs(found.reference.value - found.slope.value) > found.reference.error + found.slope.error
    if off > 1 and apart and not any(f.kind == "forward" for f in trial.findings):
        cause = "the reference is the outlier: its own differences disagree with the function and its differences"
        trial.find(f"reference: {name}", _slopes(found, mine, found.reference), cause, "gradient", off)


def _slopes(found: _Opinions, mine: np.ndarray, slope: Slope | None = None) -> str:
    slope, got = slope or found.slope, float(np.vdot(mine, found.direction))
    return f"along a random direction the slope is {slope.value:.9g} ± {slope.error:.1g}, by the gradient {got:.9g}"
