"""Runs a process that measures: one JSON line for each request, one for each answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from typing import Any

POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "KERAS_BACKEND": "tensorflow"}
# several libraries share the device: none takes all of its memory at once; a missing device is an error
ACCELERATED = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "JAX_PLATFORMS": "cuda",
}
ALONE = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


def threads() -> int:
    """Returns the cores that this process may use; every process that measures gets as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(device: str) -> dict[str, str]:
    """Returns the process's environment: the same number of threads for all, one device or the other, few messages."""
    counts = dict.fromkeys(POOLS, str(threads()))
    return {**os.environ, **counts, **QUIET, **(ACCELERATED if device == "gpu" else ALONE)}


class OutOfTime(Exception):
    """Raised when the process was stopped, because it had no time left."""


class Process:
    """Alive until closed; if its parent ends, by any signal, it ends after its current answer."""

    def __init__(self, device: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tfbp.gpu_report.worker", device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(device),
            text=True,
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, section: str, point: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Returns the answer: {"result": …}, or {"unavailable": why}, or {"error": what}.

        Raises:
            OutOfTime: no answer within `seconds`; the process is stopped.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            print(json.dumps({"section": section, "point": point}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        if late.is_set():
            raise OutOfTime
        self._log.seek(0)
        last = (self._log.read().strip().splitlines() or ["no message"])[-1]
        return {"error": f"its process ended with status {self._process.wait()}: {last[:300]}"}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
