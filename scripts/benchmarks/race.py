"""Contestants on one size: each started and checked, then timed in rounds that take turns."""

import json
import math
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.contestants import CONTESTANTS, Unavailable
from benchmarks.gate import Gate
from benchmarks.problem import Size, Task
from benchmarks.processes import Failed, Process

WORKER = Path(__file__).with_name("worker.py")


@dataclass
class RaceResult:
    """A contestant on a size: times in microseconds a step, one for each round; or why there are none."""

    contestant: str
    size: str
    steps_per_epoch: int
    epochs_per_round: int = 0
    microseconds: list[float] = field(default_factory=list)
    first_step_seconds: float | None = None  # to build, compile and take the first step
    once_per_call_seconds: float | None = None  # seconds of a call of train outside its epochs
    peak_bytes: int | None = None
    unavailable: str = ""
    error: str = ""

    @property
    def label(self) -> str:
        return CONTESTANTS[self.contestant].label

    @property
    def best(self) -> float:
        return min(self.microseconds)

    @property
    def median(self) -> float:
        return statistics.median(self.microseconds)

    def to_json(self) -> dict:
        return {**asdict(self), **({"min": self.best, "median": self.median} if self.microseconds else {})}


def race(
    size: Size, names: list[str], rounds: int, seconds: float, say: Callable[[str], None], device: str = "cpu"
) -> list[RaceResult]:
    """Returns one result for each of the contestants named, on one size; `say` gets messages on the progress."""
    with tempfile.TemporaryDirectory() as directory:
        problem, file = Task.make(size), Path(directory) / "problem.npz"
        problem.save(file)
        gate, running, results, first_epochs = Gate(problem), {}, {}, {}
        try:
            for name in names:
                say(f"{size.name}: checking {CONTESTANTS[name].label}")
                entry = CONTESTANTS[name]
                arguments = entry.module, json.dumps(entry.options), str(file), device
                running[name] = Process(entry.label, WORKER, *arguments, device=device)
                results[name] = result = RaceResult(name, size.name, size.steps)
                try:
                    first_epochs[name] = _start(running[name], gate, result, Path(directory))
                except Unavailable as error:
                    result.unavailable = str(error)
                except Failed as error:
                    result.error = str(error)
                if name not in first_epochs:
                    running.pop(name).close()
            for name, epoch in first_epochs.items():
                results[name].epochs_per_round = max(1, math.ceil(seconds / epoch))
            for turn in range(rounds):
                say(f"{size.name}: round {turn + 1} of {rounds}")
                order = list(running)[turn % max(1, len(running)) :] + list(running)[: turn % max(1, len(running))]
                for name in order:
                    _run(running[name], results[name])
        finally:
            for process in running.values():
                process.close()
    for name, first in first_epochs.items():
        result = results[name]
        epoch = result.best * size.steps / 1e6 if result.microseconds else 0.0
        result.first_step_seconds = max(0.0, result.first_step_seconds - epoch) if first else None
    return list(results.values())


def _start(process: Process, gate: Gate, result: RaceResult, directory: Path) -> float:
    """Start a contestant and send it through the gate; the seconds of an epoch, compiled."""
    weights = directory / f"{result.contestant}.npz"
    answer = process.ask("start", weights=str(weights))
    result.first_step_seconds, result.peak_bytes = answer["seconds"], answer["peak_bytes"]
    if CONTESTANTS[result.contestant].gated:
        losses = process.ask("follow", steps=gate.steps)["losses"]
        with np.load(weights) as arrays:
            complaint = gate.complaint(losses, [arrays[name] for name in arrays.files])
        if complaint:
            raise Failed(complaint)
    return answer["first_epoch"]


def _run(process: Process, result: RaceResult) -> None:
    """One round."""
    if result.error:
        return
    try:
        answer = process.ask("train", epochs=result.epochs_per_round)
    except (Failed, Unavailable) as error:
        result.error = str(error)
        return
    steps = result.epochs_per_round * result.steps_per_epoch
    result.microseconds.append(answer["seconds"] / steps * 1e6)
    once = answer["whole_call"] - answer["seconds"]
    result.once_per_call_seconds = min(once, result.once_per_call_seconds or once)
