"""Stores the results so far: one JSON file, written whole after every measurement, so that a run may be interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfbp.errors import InputError

JSON, PAGE = "gpu_report.json", "gpu_report.md"


class Store:
    """The report in a directory, with the results so far.

    Args:
        directory: made where it does not exist.
        machine: the machine of the numbers; numbers of another machine are not mixed with these.

    Raises:
        InputError: a directory that cannot be written, a file in it that is not a report, or one of another machine.
    """

    def __init__(self, directory: str | Path, machine: dict[str, Any]) -> None:
        self.directory, self.machine = Path(directory), machine
        self.units: dict[str, dict[str, Any]] = {}
        check_directory(self.directory)
        if (self.directory / JSON).exists():
            self._read(self.directory / JSON)

    def _read(self, path: Path) -> None:
        accepted = "accepted: a directory of its own."
        try:
            found = json.loads(path.read_text())
            units, machine = dict(found["units"]), dict(found["machine"])
        except (OSError, ValueError, TypeError, KeyError):
            raise InputError(
                f"output: got {str(self.directory)!r}, with a {JSON} that is not a report; {accepted}"
            ) from None
        for name, here in self.machine.items():
            if machine.get(name) != here:
                there = f"another machine or configuration ({name}: {machine.get(name)}, here {here})"
                raise InputError(f"output: got {str(self.directory)!r}, which has the report of {there}; {accepted}")
        self.units = units

    def has(self, name: str) -> bool:
        """Whether the point is measured; failed and unavailable ones run again."""
        return "result" in self.units.get(name, {})

    def add(self, name: str, found: dict[str, Any]) -> None:
        """Stores the result of a point, on the disk too."""
        self.units[name] = found
        content = {"machine": self.machine, "units": self.units}
        write(self.directory / JSON, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def check_directory(directory: Path) -> None:
    """Raises `InputError` unless files can be written there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write(directory / f".{JSON}.tried", "")
        (directory / f".{JSON}.tried").unlink()
    except OSError as error:
        raise InputError(
            f"output: got {str(directory)!r} ({error.strerror}); accepted: a directory that can be written."
        ) from None


def write(path: Path, text: str) -> None:
    """Writes the file whole: after an interruption the old or the new one is there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
