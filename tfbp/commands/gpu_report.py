"""Measures speed and agreement on a GPU, and writes one JSON file and one Markdown page.

It measures the agreement matrix with TF32 on and off; a training step against Keras, JAX and PyTorch in float32, TF32
and bfloat16; linear_cross_entropy's memory and time; the parts of a step. Every measurement is saved at once: the same
command continues after an interruption or the end of its minutes. On a CPU the report is smaller, and shows only that
it runs. The exit status is 0, 1 when anything disagrees or fails, 2 for bad input.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfbp.console.options import Parser, need, run
from tfbp.errors import InputError, check_choice

if TYPE_CHECKING:
    from tfbp.gpu_report.plan import Group
    from tfbp.gpu_report.store import Store

MINUTES = 9.5


def parser() -> Parser:
    parser = Parser(__doc__, prog="tfbp gpu-report")
    parser.add_argument("--device", default="gpu", help="gpu (default), or cpu for a smaller report")
    parser.add_argument("--output", default="gpu-report", metavar="DIRECTORY", help="default: gpu-report")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"then it stops (default: {MINUTES})")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    return run(parser(), gpu_report, given)


def gpu_report(arguments: argparse.Namespace) -> int:
    need("rich")
    check_choice("device", arguments.device, ("cpu", "gpu"))
    if not 0 < arguments.minutes < math.inf:
        raise InputError(f"minutes: got {arguments.minutes}; accepted: a finite number above 0.")
    started = time.monotonic()
    from tfbp.gpu_report import store
    from tfbp.gpu_report.cross_entropy_table import disagreements
    from tfbp.gpu_report.page import page
    from tfbp.gpu_report.plan import plan
    from tfbp.gpu_report.processes import Process

    store.check_directory(Path(arguments.output))
    process = Process(arguments.device)
    try:
        machine = process.ask("machine", {}, 120)
    finally:
        process.close()
    if "result" not in machine:
        raise InputError(next(iter(machine.values())))
    report, groups = store.Store(arguments.output, machine["result"]), plan(small=arguments.device == "cpu")
    command = f"tfbp gpu-report --device {arguments.device}"
    wanted = [(group, point, group.id_of(point)) for group in groups for point in group.points]
    before = sum(report.has(name) for _, _, name in wanted)
    print(f"{machine['result']['device']}: {len(wanted)} measurements, {before} of them made before", flush=True)

    def write_page() -> None:
        store.write(report.directory / store.PAGE, page(report.machine, groups, report.units, command))

    try:
        for name, found in measurements(groups, report, arguments.device, started, 60 * arguments.minutes):
            report.add(name, found)
            write_page()
            at = sum(name in report.units for _, _, name in wanted)
            print(f"[{at}/{len(wanted)}] {name}: {_in_short(found)}", flush=True)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; {report.directory} keeps what is measured: the same command goes on"
        ) from None
    write_page()
    units = {name: report.units[name] for _, _, name in wanted if name in report.units}
    complaints = [f"{name}: {unit['error']}" for name, unit in units.items() if "error" in unit]
    complaints += [line for unit in units.values() for line in unit.get("result", {}).get("complaints", ())]
    complaints += disagreements(wanted, units)
    print(*complaints, sep="\n", end="\n" if complaints else "")
    if left := len(wanted) - len(units):
        print(f"{left} of {len(wanted)} measurements are left: the same command goes on with them.")
    print(f"Report: {report.directory / store.PAGE}, every number: {report.directory / store.JSON}")
    return 1 if complaints else 0


def measurements(
    groups: list[Group], kept: Store, device: str, started: float, seconds: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the results of the remaining points; each section has its share of the time, then all have the rest."""
    from tfbp.gpu_report.plan import SHARES

    end, until, ends = started + seconds, started, {}
    for section, share in SHARES.items():
        ends[section] = until = until + share * seconds
    tried: set[str] = set()
    for deadlines in (ends, dict.fromkeys(ends, end)):
        for group in groups:
            todo = [(group.id_of(p), p) for p in group.points if not kept.has(group.id_of(p))]
            todo = [(name, point) for name, point in todo if name not in tried]
            for name, found in _in_one_process(group.section, todo, device, deadlines[group.section], end):
                tried.add(name)
                if found is not None:
                    yield name, found


def _in_one_process(
    section: str, todo: list[tuple[str, dict[str, Any]]], device: str, deadline: float, end: float
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Runs the points in their order until the deadline; a new process replaces one that fails.

    A started section may continue until the end of all; its result is None if it was stopped then.
    """
    from tfbp.gpu_report.processes import OutOfTime, Process

    process: Any = None
    try:
        for name, point in todo:
            if time.monotonic() >= deadline:
                return
            if process is None or not process.is_alive:
                if process is not None:
                    process.close()
                process = Process(device)
            begun = time.monotonic()
            try:
                answer = process.ask(section, point, end - begun)
            except OutOfTime:
                yield name, None
                return
            if "input" in answer:
                answer = {"error": answer["input"]}
            yield name, {**answer, "seconds": round(time.monotonic() - begun, 3)}
    finally:
        if process is not None:
            process.close()


def _in_short(found: dict[str, Any]) -> str:
    if "result" not in found:
        return found.get("unavailable") or f"error: {found['error']}"
    result = found["result"]
    if "wrong" in result:
        return f"{result['wrong']} of {result['compared']:,} wrong"
    if "microseconds" in result:
        return f"{result.get('median', result.get('step')):,.4g} µs a step"
    return f"{1e3 * result['median']:,.4g} ms"
