"""The training benchmark's table, JSON file and machine."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

from benchmarks.race import RaceResult
from tfbp.gpu_report.machine import gpu, processor
from tfbp.gpu_report.processes import threads

PACKAGES = ("tensorflow", "keras", "jax", "torch", "scikit-learn", "numpy")


def table(size: str, results: list[RaceResult]) -> Table:
    """Returns one size's contestants, the fastest first, and those that did not run last."""
    lines = Table(box=None, pad_edge=False, title=size, title_justify="left")
    for heading in ("contestant", "min µs", "median µs", "of limit", "of manual", "first step s", "MiB"):
        lines.add_column(heading, justify="left" if heading == "contestant" else "right", no_wrap=True)
    limit = next((r for r in results if r.contestant == "limit" and r.microseconds), None)
    manual = next((r for r in results if r.contestant == "manual" and r.microseconds), None)
    for result in sorted((r for r in results if r.microseconds), key=lambda r: r.median):
        lines.add_row(
            result.label,
            f"{result.best:.4g}" if result.best < 1000 else f"{result.best:,.0f}",
            f"{result.median:.4g}" if result.median < 1000 else f"{result.median:,.0f}",
            f"{limit.best / result.best:.2f}" if limit else "",
            f"{result.median / manual.median:.2f}" if manual else "",
            f"{result.first_step_seconds:.2f}",
            f"{result.peak_bytes / 2**20:,.0f}" if result.peak_bytes else "",
        )
    for result in results:
        if not result.microseconds:
            lines.add_row(result.label, "n/a" if result.unavailable else "error")
    return lines


def reasons(results: list[RaceResult]) -> list[str]:
    """Returns a line for each contestant that broke, was wrong or could not run."""
    return [
        f"{'Error' if r.error else 'n/a'}: {r.label}, {r.size}: {r.error or r.unavailable}"
        for r in results
        if r.error or r.unavailable
    ]


def machine(device: str = "cpu") -> dict:
    """Returns the machine and the versions of the figures."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        **({"device": gpu()} if device == "gpu" else {}),
        "processor": processor(),
        "threads": threads(),
        "python": platform.python_version(),
        "packages": versions,
    }


def machine_line(device: str = "cpu") -> str:
    description = machine(device)
    packages = ", ".join(f"{name} {number}" for name, number in description["packages"].items())
    devices = ", ".join(description[name] for name in ("device", "processor") if name in description)
    return f"{devices}, {description['threads']} threads each; Python {description['python']}, {packages}."


def write_json(path: str, what: str, rounds: int, results: list[dict], device: str = "cpu") -> None:
    content = {"what": what, "machine": machine(device), "rounds": rounds, "results": results}
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
