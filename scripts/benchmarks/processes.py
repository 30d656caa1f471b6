"""Starts a contestant's process and talks to it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.contestants import Unavailable
from tfbp.gpu_report.processes import environment


class Failed(Exception):
    """A contestant broke; the message has the reason."""


class Process:
    """One contestant on one problem, alive until closed.

    Args:
        label: its name. worker: the script that answers requests. arguments: the script's.
        device: "cpu" or "gpu", the only one that it finds."""

    def __init__(self, label: str, worker: Path, *arguments: str, device: str = "cpu") -> None:
        self.label = label
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, str(worker), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(device),
            text=True,
        )

    def ask(self, do: str, **arguments) -> dict:
        """Returns the answer to a request.

        Raises:
            Unavailable: the contestant cannot take part here. Failed: it broke.
        """
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["no message"])[-1]
            raise Failed(f"its process ended with status {self._process.wait()}: {last}")
        answer = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
