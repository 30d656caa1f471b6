"""Workers of one training run as processes of this machine: started together, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

PARENT = "TFBP_PARENT_OF_WORKERS"
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class WorkerFailure:
    """The worker that ended first, its exit status (or minus the signal that killed it), and its last line."""

    worker: int
    status: int
    said: str

    def __str__(self) -> str:
        # SIGALRM: its time to start was over, and its last line says so
        if self.status < 0 and self.status != -signal.SIGALRM:
            said = f"killed by signal {-self.status} ({signal.Signals(-self.status).name})."
        else:
            said = self.said or f"ended with status {self.status}."
        return f"Worker {self.worker}: {said}"


def run_local_workers(command: Sequence[str], workers: int, watch: Callable[[str], None]) -> WorkerFailure | None:
    """Run `command` as so many workers on loopback, each with its TF_CONFIG. When one fails, the others are killed.

    Args:
        command: a program that calls `tfbp.training.multi_worker_strategy` and, first of all, `die_with_parent`.
        workers: how many; only the first one's standard output is shown.
        watch: is called with the last line that the first worker has written to standard error, now and then.

    Returns:
        The first failure; None where all have ended with status 0.
    """
    cluster = {"worker": [f"127.0.0.1:{port}" for port in _free_ports(workers)]}
    # a Ctrl-C or a SIGTERM ends this function through its `finally`s
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(workers)]
        try:
            for index, error in enumerate(errors):
                config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
                environment = {**os.environ, "TF_CONFIG": config, PARENT: str(os.getpid())}
                # None: our own standard output
                output = None if index == 0 else subprocess.DEVNULL
                processes.append(
                    subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=error)
                )
            return _wait(processes, errors, watch)
        finally:
            # a worker that waits for another inside TensorFlow does not hear SIGTERM
            for process in processes:
                process.kill()
                process.wait()
            signal.signal(signal.SIGTERM, before)


def is_local_worker() -> bool:
    """Whether this process is one that `run_local_workers` has started."""
    return PARENT in os.environ


def die_with_parent() -> None:
    """In a worker of `run_local_workers`: end when the process that started it is gone, however it went."""
    parent = int(os.environ.get(PARENT, 0))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if parent:
        threading.Thread(target=watch, daemon=True).start()


def _wait(
    processes: list[subprocess.Popen[bytes]], errors: list[Any], watch: Callable[[str], None]
) -> WorkerFailure | None:
    while True:
        statuses = [process.poll() for process in processes]
        failed = [(status, index) for index, status in enumerate(statuses) if status]
        if failed:
            # when several ended at once: one that was killed is the cause, one that missed another is not
            status, first = min(failed, key=lambda ended: (ended[0] > 0, ended[0] == 1))
            return WorkerFailure(first, status, _last_line(errors[first]))
        if not any(status is None for status in statuses):
            return None
        watch(_last_line(errors[0]))
        time.sleep(POLL_SECONDS)


def _last_line(file: Any) -> str:
    # pread: the worker writes through the same file, and its position must not move
    text = os.pread(file.fileno(), 4096, max(0, os.fstat(file.fileno()).st_size - 4096)).decode(errors="replace")
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]
