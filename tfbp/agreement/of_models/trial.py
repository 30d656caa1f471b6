"""Judges one model: layer by layer, then the whole, with the findings of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.formula import by_differences, differences_of, formula_tolerances
from tfbp.agreement.of_models.layers import Fed, comparisons, fed_of, has_few_digits, tolerances_of, trials
from tfbp.agreement.of_models.objective import Objective
from tfbp.agreement.of_models.opened import Opened
from tfbp.agreement.of_models.passes import Pass, right_pass
from tfbp.agreement.of_models.report import ModelFinding, ModelReport
from tfbp.agreement.of_models.running import Recorded
from tfbp.agreement.of_models.truth import DIFFERENCES, REFERENCE, ByTape, Truth, names_masks
from tfbp.agreement.of_models.votes import outlier
from tfbp.agreement.of_models.whole_trial import WIDER, judge_whole
from tfbp.bridge.masks import ATTENTION
from tfbp.checking.report import Report
from tfbp.judging.arrays import as_float64
from tfbp.judging.comparison import Comparison
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF

# of the tolerance by the reference's formula: another formula's roundings are not larger
EXCUSED = 64


class Settings(NamedTuple):
    """The settings of a trial.

    Attributes:
        dtypes, modes: those of the runs.
        device: "cpu" or "gpu".
        seed: the seed of random gradients.
        apart: whether each layer is a separate program.
    """

    dtypes: tuple[str, ...]
    modes: tuple[str, ...]
    device: str
    seed: int
    apart: bool


class Evidence(NamedTuple):
    """The facts behind a judgment: a model's inputs, and each call's record and judge."""

    arrays: Sequence[Any]
    recorded: Sequence[Recorded]
    truths: Sequence[Truth]


class ModelTrial:
    """The shared state of a model's trial; each part adds to the report.

    Args:
        model: its calls.
        copies: its layers in every dtype.
        evidence: its inputs, and the records and judges of its calls.
        objective: the scalar that is differentiated.
        report: the report to add to.
        settings: the device, the seed, and whether each layer is a separate program.
    """

    def __init__(
        self,
        model: Opened,
        copies: Copies,
        evidence: Evidence,
        objective: Objective,
        report: ModelReport,
        settings: Settings,
    ) -> None:
        self.model, self.copies, self.objective, self.report = model, copies, objective, report
        self.arrays, self.recorded, self.truths = evidence
        self.settings = settings
        self.right: Pass = Pass([])
        self.fed: list[Fed] = []
        self.limits: Any = None
        self.formulas: dict[tuple[int, str], dict[str, np.ndarray]] = {}
        self._acquitted: dict[str, tuple[int, str]] = {}
        self.few_digits: dict[str, float] = {}

    def unknown(self, made: Sequence[Any]) -> None:
        """Compares the layers that the reference does not have with differences of their forward."""
        seen = set()
        for index, (call, truth) in enumerate(zip(self.model.calls, self.truths, strict=True)):
            if truth.by != DIFFERENCES or id(call.operation) in seen:
                continue
            seen.add(id(call.operation))
            xs = [made[i] for i in call.takes]
            differences = by_differences(
                call, self.copies, self.recorded[index], xs, self.settings.seed, self.settings.device
            )
            line = self.report.lines[index]
            if isinstance(differences, str):
                line.by = "itself in float64"
                if call.is_layer:
                    self.report.notes.append(f"{call.name}: not held against differences: {differences}")
                continue
            self._differ(call.name, differences, {})

    def loss(self, made: Sequence[Any]) -> None:
        """Compares the gradients of the losses with differences: the truth of a whole pass begins with them."""
        if self.objective.is_random:
            return
        ends = [made[number] for number in self.model.outputs]
        settings = self.settings
        differences = differences_of(self.objective.function, ends, "float64", settings.seed, settings.device)
        if isinstance(differences, str):
            self.report.notes.append(f"loss: not held against differences: {differences}")
        else:
            self._differ("loss", differences, {f"input {i}": n for i, n in enumerate(self.model.output_names)})

    def _differ(self, layer: str, differences: Report, names: Mapping[str, str]) -> None:
        for each in differences.findings:
            name = each.argument if "/" in each.argument else f"gradient of {names.get(each.argument, each.argument)}"
            finding = ModelFinding(
                layer, name, each.dtype, each.mode, "differences", each.cause, each.where, each.ratio
            )
            self.report.findings.append(finding)

    def masks(self) -> None:
        """Finds a layer that drops a mask which a later layer would use."""
        pairs = zip(self.model.calls, self.recorded, strict=True)
        given = {n: m for call, r in pairs for n, m in zip(call.takes, r.masks, strict=True)}
        for index, call in enumerate(self.model.calls):
            reached = any(mask is not None for mask in self.recorded[index].masks)
            lost = reached and not any(given.get(number) is not None for number in call.makes)
            if not lost or not call.is_layer or call.operation.supports_masking:
                continue
            if later := self._minds(index):
                cause = f"the mask that reaches it ends here, and {later!r} computes without it"
                self.report.findings.append(ModelFinding(call.name, "mask", "every dtype", "every mode", "mask", cause))

    def _minds(self, index: int) -> str:
        """Returns the first layer after a call that would use a mask and gets none."""
        reached = set(self.model.calls[index].makes)
        for later, call in enumerate(self.model.calls[index + 1 :], index + 1):
            if reached & set(call.takes):
                reached |= set(call.makes)
                bare = all(mask is None for mask in self.recorded[later].masks)
                minds = isinstance(call.operation, ATTENTION) or getattr(call.operation, "_call_has_mask_arg", False)
                if minds and call.is_layer and bare and not names_masks(call):
                    return call.name
        return ""

    def prepare(self, dtype: str) -> None:
        """Returns the right pass in a dtype, and the inputs of each layer."""
        upstream = self.objective.upstream
        self.right = right_pass(self.model, self.truths, self.arrays, upstream, dtype)
        pairs = zip(self.model.calls, self.truths, strict=True)
        self.fed = [fed_of(call, truth, self.right, dtype, self.objective.rng) for call, truth in pairs]
        self.limits = None

    def run(self, dtype: str, mode: str) -> None:
        """Judges one dtype in one mode: each layer, and the whole."""
        found = trials(self.model, self.copies, self.recorded, self.fed, dtype, mode, self.settings.apart)
        before = len(self.report.findings)
        for index, answer in enumerate(found):
            if answer is not None:
                self._judge(index, answer, dtype, mode)
        if not self.copies.missing_in(dtype):
            judge_whole(
                self,
                dtype,
                mode,
                is_explained=len(self.report.findings) > before,
            )

    def _judge(self, index: int, answer: Any, dtype: str, mode: str) -> None:
        call, truth, fed, line = self.model.calls[index], self.truths[index], self.fed[index], self.report.lines[index]
        wider = self.formulas.get((index, dtype), {})
        results = list(comparisons(call, answer, fed, dtype, wider))
        is_new = (index, dtype) not in self.formulas
        worst = max((result.ratio for result in results), default=0.0)
        if is_new and results and (isinstance(truth, ByTape) or 1 < worst <= EXCUSED):
            wider = self.formulas[index, dtype] = self._measured(index, results, dtype)
        if wider:
            wider = {name: WIDER[mode] * t for name, t in wider.items()}
            results = list(comparisons(call, answer, fed, dtype, wider))
            worst = max(result.ratio for result in results)
        short = [result for result in results if dtype == "float64" and has_few_digits(result)]
        if short:
            self.few_digits[call.name] = max(result.relative_error for result in short)
            worst = max((result.ratio for result in results if result not in short), default=0.0)
        line.worst[f"{dtype} {mode}"] = worst
        for name, each in zip(fed.right, results, strict=True):
            got = answer if isinstance(answer, Failure) else answer.get(name)
            if each in short:
                continue
            if not each.agrees:
                vote = outlier(truth, fed, name, got, dtype)
                self.find(call.name, each, dtype, mode, "layer", vote)
                if isinstance(answer, Failure):
                    break
            elif got is not None:
                self.acquit(call.name, each.tensor, got, fed.right[name], dtype, mode)

    def _measured(self, index: int, results: Sequence[Comparison], dtype: str) -> dict[str, np.ndarray]:
        """Returns T of a layer's own formula, which may round differently, and of sums in 16 bits."""
        call, truth, fed = self.model.calls[index], self.truths[index], self.fed[index]
        limits = self.formula_of(index, fed, dtype)
        if isinstance(truth, ByTape):
            truth.spread[dtype] = {name: t if name[0] == "y" else t / fed.scale for name, t in limits.items()}
        worst = max(results, key=lambda result: result.ratio)
        if truth.by == REFERENCE and np.isfinite(worst.ratio):
            self.report.notes.append(
                f"{call.name} {worst.tensor} [{dtype}]: {worst.ratio:.3g} of the tolerance by the reference's formula, "
                "and held against the layer's own"
            )
        return limits

    def formula_of(self, index: int, fed: Fed, dtype: str) -> dict[str, np.ndarray]:
        """Returns T of a layer's own formula on any inputs, and of sums in 16 bits."""
        call, truth = self.model.calls[index], self.truths[index]
        limits = attempt(formula_tolerances, call, self.copies, self.recorded[index], fed, dtype)
        limits = {} if isinstance(limits, Failure) else limits
        if call.is_layer:
            self.copies.assign(call.operation, self.copies.of(call, dtype), dtype)
        if dtype in ("bfloat16", "float16"):
            for name, t in tolerances_of(truth, fed.xs, fed.dys, dtype, fed.right, in_few_bits=True).items():
                limits[name] = np.maximum(t, limits.get(name, 0.0))
        return limits

    def find(self, layer: str, found: Comparison, dtype: str, mode: str, part: str, vote: str) -> None:
        finding = ModelFinding(layer, found.tensor, dtype, mode, part, found.cause, found.extent, found.ratio, vote)
        self.report.findings.append(finding)

    def acquit(self, layer: str, tensor: str, got: Any, right: np.ndarray, dtype: str, mode: str) -> None:
        """Counts elements that differ by more than a rounding and are still accepted."""
        error = np.abs(as_float64(got) - right)
        size = np.abs(right) + float(np.sqrt(np.mean(right**2))) if right.size else 0.0
        count = int(np.count_nonzero(error > 2.0**8 * UNIT_ROUNDOFF[dtype] * size))
        if count > self._acquitted.get(layer, (0, ""))[0]:
            sentence = (
                f"{layer} {tensor} [{dtype}, {mode}]: {count} of {right.size} elements are on a kink, or differences of"
            )
            self._acquitted[layer] = count, f"{sentence} larger numbers: inside the tolerance"

    def close(self) -> None:
        """Adds the last notes: acquittals, and skipped runs. Equal findings of several runs are merged."""
        self.report.notes += [sentence for _, sentence in self._acquitted.values()]
        for name, off in self.few_digits.items():
            sentence = (
                f"{name} [float64]: off by {off:.1g} of the result, as where a constant of its formula is float32's"
            )
            self.report.notes.append(f"{sentence}, as in Keras's gelu")
        for (name, dtype), why in self.copies.missing.items():
            self.report.notes.append(f"{name}: not run in {dtype}: {why}")
        if self.objective.is_random:
            self.report.notes.append("no y was given: outputs are differentiated by random upstream gradients")
        self.report.findings = merged(self.report.findings)


def merged(findings: Sequence[ModelFinding]) -> list[ModelFinding]:
    """Returns the findings in their order; the same tensor and part in several dtypes and modes once."""
    groups: dict[Any, list[ModelFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.layer, finding.tensor, finding.part), []).append(finding)
    findings_once = []
    for group in groups.values():
        worst = max(group, key=lambda f: f.ratio if np.isfinite(f.ratio) else 0.0)
        dtypes, modes = (", ".join(dict.fromkeys(getattr(f, a) for f in group)) for a in ("dtype", "mode"))
        findings_once.append(replace(worst, dtype=dtypes, mode=modes))
    return findings_once
