"""The cost of callbacks: fit with a callback against fit without, interleaved, by the time of the epochs.

Microseconds a step (minimum and median) and the ratio with / without (median of the pairs).
"""

import statistics
import tempfile
from pathlib import Path

import keras
from rich.table import Table

from benchmarks import placed
from benchmarks.contestants.fit import Clock
from benchmarks.problem import SIZES, Task
from tfbp import Model
from tfbp.training import TensorBoard, TerminateOnNaN

CHOSEN = ("64-32-10-b32", "784-128-10-b128", "784-512-512-10-b128")
EVERY = 100
UNIT = "Microseconds a step of fit, relu"


def run(pairs: int, seconds: float, device: str = "cpu") -> tuple[Table, list[dict]]:
    """Returns the table, and its numbers."""
    table = Table(box=None, pad_edge=False)
    for heading in ("size", "callback", "without min", "median", "with min", "median", "with / without"):
        table.add_column(heading, justify="left" if heading in ("size", "callback") else "right")
    results = []
    with tempfile.TemporaryDirectory() as directory:
        watched = {
            "TerminateOnNaN": lambda name: TerminateOnNaN(),
            f"TensorBoard, every {EVERY}": lambda name: TensorBoard(Path(directory) / name, every=EVERY),
        }
        for size in CHOSEN:
            problem = Task.make(SIZES[size])
            for callback, make in watched.items():
                times = compare(problem, make(size), pairs, seconds, device)
                ratio = statistics.median(w / p for p, w in zip(times["without"], times["with"], strict=True))
                cells = [f"{f(times[which]):.4g}" for which in times for f in (min, statistics.median)]
                table.add_row(problem.size.name, callback, *cells, f"{ratio:.3f}")
                results.append({"size": size, "callback": callback, "microseconds": times, "with / without": ratio})
    return table, results


def compare(
    problem: Task, watcher: keras.callbacks.Callback, pairs: int, seconds: float, device: str = "cpu"
) -> dict[str, list[float]]:
    """Returns the microseconds a step without and with the callback, a number for each pair of runs."""
    runs = {"without": (_model(problem), None), "with": (_model(problem), watcher)}

    def time_run(which: str, epochs: int) -> float:
        (model, callback), clock = runs[which], Clock()
        watchers = [callback, clock] if callback else [clock]
        options = {"batch_size": problem.batch_size, "epochs": epochs, "verbose": 0}
        model.fit(problem.x, problem.y, callbacks=watchers, **options)
        return clock.seconds / epochs

    for which, (model, _) in runs.items():
        time_run(which, 1)
        placed.check(which, [w.value for w in model.trainable_variables], device)
    epochs = max(1, int(seconds / time_run("without", 2)))
    times: dict[str, list[float]] = {which: [] for which in runs}
    for pair in range(pairs):
        for which in list(runs) if pair % 2 else list(reversed(runs)):
            times[which].append(time_run(which, epochs) / problem.steps * 1e6)
    return times


def _model(problem: Task) -> Model:
    model = Model(problem.network)
    model.set_parameters(problem.parameters)
    model.compile(keras.optimizers.SGD(problem.rate))
    return model
