"""Compares a whole run link by link: each call with the right answer to what the run itself handed to it.

From its inputs to its gradients a model amplifies roundings: next to a kink, where a deviation is small. A link has the
roundings of one layer, and where every link is right, the whole is. A compiler may compute a tensor again for each of
its users, rounded otherwise: there a link's inputs are as exact as their makers' results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfbp.agreement.of_models.formula import noise_of
from tfbp.agreement.of_models.layers import Fed, by_name
from tfbp.agreement.of_models.passes import Pass, named_pass, rounded
from tfbp.agreement.of_models.truth import REFERENCE
from tfbp.agreement.tolerances import monte_carlo
from tfbp.agreement.tolerances.monte_carlo import Rounding
from tfbp.judging.arrays import as_float64
from tfbp.judging.tolerances import UNIT_ROUNDOFF, Units
from tfbp.reference.graph import add

Array = np.ndarray
ByName = dict[str, Array]
# the place of the loss among the calls, which it follows
LOSS = -1


class Links:
    """The right answers to each call of a run, and their tolerances.

    Args:
        trial: the trial of the model.
        found: the run's tensors, by the keys of `named_pass`.
        wider: the factor of all tolerances; above 1 a tensor may be computed again for each user.
    """

    def __init__(self, trial: Any, found: Mapping[str, Any], dtype: str, wider: float) -> None:
        self.trial, self.model, self.dtype, self.wider = trial, trial.model, dtype, wider
        self.own: dict[int, Array] = dict(enumerate(trial.right.made[: self.model.inputs]))
        for number in range(self.model.inputs, len(self.model.names)):
            kind = trial.right.made[number].dtype
            self.own[number] = as_float64(found[f"y {number}"]).astype(kind, copy=False)
        self.gradients = {n: as_float64(found[key]) for n in self.own if (key := f"dy {n}") in found}
        self.right: dict[int, ByName] = {LOSS: self._of_loss([self.own[n] for n in self.model.outputs])}
        for i, number in enumerate(self.model.outputs):
            # a cross-entropy that takes the logits behind an output sends it no gradient
            self.gradients.setdefault(number, self.right[LOSS][f"dx{i}"])
        self.fed = [self._fed(call) for call in self.model.calls]
        for index, (xs, dys) in enumerate(self.fed):
            self.right[index] = by_name(trial.truths[index].run(xs, dys, dtype))
        self.tolerances = {index: self._first(index) for index in self.right}
        # by call, the number of measurements on this run's tensors: by the reference, then by the layer's own formula
        self._measured: dict[int, int] = {}

    def passes(self) -> tuple[Pass, ByName]:
        """Returns the right answers as a pass, and the tolerances by its keys."""
        limits = named_pass(self.model, self._joined(self.tolerances))
        magnitudes = {i: {name: np.abs(value) for name, value in each.items()} for i, each in self.right.items()}
        sizes, unit = named_pass(self.model, self._joined(magnitudes)), UNIT_ROUNDOFF[self.dtype]
        for key in limits:
            terms = len(self.behind(key))
            if terms > 1:
                # each partial sum of several calls' gradients is rounded
                limits[key] = limits[key] + terms * unit * sizes[key]
        return self._joined(self.right), {key: self.wider * limit for key, limit in limits.items()}

    def measure(self, key: str) -> bool:
        """Measures the tolerances of the calls behind a key on this run's own tensors; False if that is done."""
        calls = [index for index in self.behind(key) if self._measured.get(index, 0) < 2]
        for index in calls:
            self._measured[index] = self._measured.get(index, 0) + 1
            limits = self._by_reference(index) if self._measured[index] == 1 else self._by_own_formula(index)
            for name, limit in self.tolerances[index].items():
                # errors of what it takes and errors of its formula are independent
                join = np.hypot if self.wider > 1 and self._measured[index] == 2 else np.maximum
                self.tolerances[index][name] = join(limit, limits[name]) if name in limits else limit
        return bool(calls)

    def _fed(self, call: Any) -> tuple[list[Array], list[Array] | None]:
        xs = [self.own[n] for n in call.takes]
        # a layer casts what it takes
        xs = [rounded(x, self.dtype) for x in xs] if call.is_layer else xs
        if not any(n in self.gradients for n in call.makes):
            return xs, None
        return xs, [self.gradients.get(n, np.zeros(self.own[n].shape)) for n in call.makes]

    def _of_loss(self, ends: Sequence[Array], noise: Rounding | None = None) -> ByName:
        loss, gradients = self.trial.objective.upstream(ends, noise)
        return {"loss": np.asarray(loss), **{f"dx{i}": g for i, g in enumerate(gradients)}}

    def _first(self, index: int) -> ByName:
        """Returns the tolerances of the right pass, whose tensors are nearly the same."""
        right, units = self.right[index], Units.of(self.dtype, "tape")
        if index == LOSS:
            sizes = {name: 1.0 if name == "loss" else np.sqrt(np.mean(g**2)) for name, g in right.items()}
            return {
                name: 6 * units.out * np.abs(g) + 2 * units.sum * sizes[name] + units.underflow
                for name, g in right.items()
            }
        fed, wider = self.trial.fed[index], self.trial.formulas.get((index, self.dtype), {})
        out = {}
        for name, value in right.items():
            limit = fed.tolerances.get(name, 2 * units.out * np.abs(value))
            limit = np.maximum(limit, wider.get(name, 0.0))
            out[name] = limit / (fed.scale if name[0] == "d" else 1.0) + units.underflow
        return out

    def _by_reference(self, index: int) -> ByName:
        """Returns T of the reference's formula; where tensors are computed again, they have their makers' errors."""
        limits = self._joined(self.tolerances)

        def moved(noise: Rounding, number: int, array: Array, by: Any) -> Array:
            is_made = number >= self.model.inputs if by is limits.made else number in by
            if self.wider <= 1 or not is_made or array.dtype.kind != "f":
                return array
            return np.asarray(noise.moved(array, self.wider * by[number]))

        if index == LOSS:

            def run(noise: Rounding) -> ByName:
                ends = [moved(noise, number, self.own[number], limits.made) for number in self.model.outputs]
                return self._of_loss(ends, noise)

        else:
            call, truth, (xs, dys) = self.model.calls[index], self.trial.truths[index], self.fed[index]
            if self.wider <= 1 and truth.by != REFERENCE:
                return {}

            def run(noise: Rounding) -> ByName:
                tensors = [moved(noise, n, x, limits.made) for n, x in zip(call.takes, xs, strict=True)]
                given = None if dys is None else zip(call.makes, dys, strict=True)
                gradients = None if given is None else [moved(noise, n, dy, limits.dmade) for n, dy in given]
                return by_name(truth.run(tensors, gradients, self.dtype, noise if truth.by == REFERENCE else None))

        return monte_carlo.sensitivity(run, self.right[index], Units.of(self.dtype, "tape"))

    def _by_own_formula(self, index: int) -> ByName:
        """Returns T of the layer's own formula, or the loss's; nothing where it cannot be traced."""
        if index != LOSS:
            xs, dys = self.fed[index]
            zeros = [np.zeros(self.own[n].shape) for n in self.model.calls[index].makes]
            fed = Fed(xs, zeros if dys is None else dys, self.right[index], {})
            return dict(self.trial.formula_of(index, fed, self.dtype))
        ends = [self.own[number] for number in self.model.outputs]
        measured = noise_of(self.trial.objective.function, ends, [np.ones(())], self.dtype)
        if measured is None:
            return {}
        (of_loss,), gradients, _ = measured
        return {"loss": of_loss, **{f"dx{i}": t for i, t in enumerate(gradients) if t is not None}}

    def behind(self, key: str) -> list[int]:
        """Returns the calls that make the tensor of a key."""
        kind, *numbers = key.split(" ")
        calls = self.model.calls
        if kind == "loss":
            return [LOSS]
        if kind == "part":
            return [int(numbers[1])]
        if kind == "y":
            return [index for index, call in enumerate(calls) if int(numbers[0]) in call.makes]
        if kind == "dy":
            return self.model.takers(int(numbers[0])) + ([LOSS] if int(numbers[0]) in self.model.outputs else [])
        return [index for index, call in enumerate(calls) if id(call.operation) == int(numbers[0])]

    def _joined(self, by_call: Mapping[int, ByName]) -> Pass:
        """Returns a pass with the answers, or the tolerances, of every call; gradients of one tensor are added."""
        one_pass = Pass(list(self.trial.right.made[: self.model.inputs]), float(by_call[LOSS]["loss"]))
        for index, call in enumerate(self.model.calls):
            found = by_call[index]
            one_pass.made += [found.get(f"y{i}", np.zeros(0, int)) for i in range(len(call.makes))]
            for i, number in enumerate(call.takes):
                if (dx := found.get(f"dx{i}")) is not None:
                    one_pass.parts[number, index] = dx
                    add(one_pass.dmade, number, dx)
            for name, dw in found.items():
                if name.startswith("d "):
                    key = id(call.operation), int(name[2:])
                    one_pass.weight_parts[*key, index] = dw
                    add(one_pass.dweights, key, dw)
        for i, number in enumerate(self.model.outputs):
            add(one_pass.dmade, number, by_call[LOSS][f"dx{i}"])
        return one_pass


def exceeding(found: Mapping[str, Any], right: ByName, limits: ByName) -> Iterator[str]:
    """Yields the keys of tensors that are wrong by a finite number of tolerances: those may be too narrow."""
    for key, value in right.items():
        if key not in found or np.shape(found[key]) != value.shape:
            continue
        got = as_float64(found[key])
        if np.isfinite(got).all() and not (np.abs(got - value) <= limits[key]).all():
            yield key
