"""The cross-entropy benchmark: tfbp.losses.linear_cross_entropy against matmul, softmax cross-entropy and tape."""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.table import Table

from benchmarks.processes import Failed, Process

CONTESTANTS = ("manual", "tape")
MODES = ("graph", "xla", "eager")
WORKER = Path(__file__).with_name("cross_entropy_worker.py")
TOLERANCE = 1e-4  # relative: float32 rounding over these reductions


@dataclass(frozen=True)
class CrossEntropyPoint:
    """One size in one execution mode."""

    mode: str
    tokens: int
    width: int
    classes: int

    @property
    def logits_bytes(self) -> int:
        return 4 * self.tokens * self.classes


@dataclass
class CrossEntropyResult:
    """Returns seconds per step, one for each round, and the most memory beyond the arguments'; or the failure."""

    point: CrossEntropyPoint
    seconds: dict[str, list[float]] = field(default_factory=dict)
    extra_bytes: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def memory_ratio(self) -> float:
        """How many times less memory manual needs."""
        return self.extra_bytes["tape"] / self.extra_bytes["manual"]

    @property
    def time_ratio(self) -> float:
        """The median of manual's over tape's time, round by round."""
        pairs = zip(self.seconds["manual"], self.seconds["tape"], strict=True)
        return statistics.median(by_hand / by_tape for by_hand, by_tape in pairs)

    def to_json(self) -> dict:
        ratios = {} if self.error else {"memory_ratio": self.memory_ratio, "time_ratio": self.time_ratio}
        return {**asdict(self), **ratios}


def measure(point: CrossEntropyPoint, rounds: int, say: Callable[[str], None]) -> CrossEntropyResult:
    """Runs both contestants at one point, each in a fresh process: compares their numbers, then times them in turns."""
    result, running, fingerprints = CrossEntropyResult(point), {}, {}
    try:
        for name in CONTESTANTS:
            say(f"{point.mode}, {point.tokens} tokens, {point.classes} classes: memory of {name}")
            running[name] = Process(name, WORKER, json.dumps({"contestant": name, **asdict(point)}))
            answer = running[name].ask("start")
            result.extra_bytes[name], fingerprints[name] = answer["extra_bytes"], answer["fingerprint"]
            result.seconds[name] = []
        scale = [max(map(abs, pair)) for pair in zip(*fingerprints.values(), strict=True)]
        # random signs can cancel: a product is held against its gradient's norm
        scale = [scale[0]] + [scale[i] for i in range(1, len(scale), 2) for _ in range(2)]
        for a, b, size in zip(*fingerprints.values(), scale, strict=True):
            if not abs(a - b) <= TOLERANCE * size:
                raise Failed(f"manual and tape computed different things: {a:.7g} and {b:.7g}")
        for turn in range(rounds):
            say(f"{point.mode}, {point.tokens} tokens, {point.classes} classes: round {turn + 1} of {rounds}")
            for name in CONTESTANTS if turn % 2 else reversed(CONTESTANTS):
                result.seconds[name].append(running[name].ask("step")["seconds"])
    except Failed as error:
        result.error = str(error)
    finally:
        for process in running.values():
            process.close()
    return result


def table(results: list[CrossEntropyResult]) -> Table:
    """Returns a row for each point."""
    lines = Table(box=None, pad_edge=False)
    sizes, memory = ("\nmode", "\ntokens", "\nclasses", "logits\nMiB"), ("manual\nMiB", "tape\nMiB", "tape /\nmanual")
    for heading in (*sizes, *memory, "manual\ns", "tape\ns", "manual /\ntape"):
        lines.add_column(heading, justify="left" if heading == "\nmode" else "right", no_wrap=True)
    for result in results:
        point = result.point
        row = [point.mode, f"{point.tokens:,}", f"{point.classes:,}", f"{point.logits_bytes / 2**20:,.0f}"]
        if result.error:
            lines.add_row(*row, "error")
            continue
        memory = [f"{result.extra_bytes[name] / 2**20:,.0f}" for name in CONTESTANTS]
        seconds = [f"{statistics.median(result.seconds[name]):.3g}" for name in CONTESTANTS]
        lines.add_row(*row, *memory, f"{result.memory_ratio:.1f}", *seconds, f"{result.time_ratio:.2f}")
    return lines
