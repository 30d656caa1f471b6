"""The process that measures: answers requests, one JSON line each, on stdin and stdout.

python -m tfbp.gpu_report.worker DEVICE     started by processes.py; ends with its stdin
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from typing import Any

from tfbp.errors import InputError

# the module of each section, with `measure(point, device)`
SECTIONS = {
    "machine": "machine",
    "agreement": "agreement",
    "steps": "steps",
    "cross-entropy": "cross_entropy",
    "parts": "parts",
}


class Unavailable(Exception):
    """Raised when a contestant cannot run here; the message has the cause."""


class Misplaced(Exception):
    """Raised for a result on another device than the requested one."""


def answer(section: str, point: dict[str, Any], device: str) -> dict[str, Any]:
    """Returns the result of a section's module for a point."""
    try:
        return {"result": import_module(f"tfbp.gpu_report.{SECTIONS[section]}").measure(point, device)}
    except InputError as error:
        return {"input": str(error)}
    except Unavailable as error:
        return {"unavailable": str(error)}
    except Exception as error:  # every error is reported
        traceback.print_exc()
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
        return {"error": f"{type(error).__name__}: {lines[0][:300]}".removesuffix(": ")}


def main(device: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stderr
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(answer(question["section"], question["point"], device)), file=answers, flush=True)


if __name__ == "__main__":
    # by its module's name: a section raises the classes that it imports
    import_module("tfbp.gpu_report.worker").main(sys.argv[1])
