"""Runs the cells of the matrix in several processes, each with its own TensorFlow: tracing keeps one core busy."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

# a process takes seconds to import TensorFlow, and about a gigabyte of memory
CELLS_WORTH_A_PROCESS, MOST = 24, 4


def processes_for(cells: int, device: str) -> int:
    """Returns the default number of processes: on a GPU one, which has all of its memory."""
    return max(1, min(os.cpu_count() or 1, MOST, cells // CELLS_WORTH_A_PROCESS)) if device == "cpu" else 1


class ProcessGone(Exception):
    """Raised when a process died: killed, out of memory, or ended by a library."""


@contextmanager
def mapping(
    processes: int, deterministic: bool = False, tasks_each: int | None = None
) -> Iterator[Callable[..., Iterator[Any]]]:
    """Runs `map` in several processes: results in order, and a `ProcessGone` if a process died.

    With `tasks_each`, a new process replaces one after that many tasks: a process can hold only so many programs.
    """
    if processes == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, context, _start, (deterministic,), max_tasks_per_child=tasks_each)

    def in_order(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        done = 0
        try:
            for found in executor.map(function, items):
                yield found
                done += 1
        except BrokenProcessPool as error:
            at = ", ".join(str(getattr(item, "id", item)) for item in items[done : done + processes])
            raise ProcessGone(
                f"One of {processes} processes is gone (killed, out of memory, or brought down by a library), "
                f"with {done} of {len(items)} done, at one of {at} or soon after."
            ) from error

    try:
        yield in_order
    finally:
        executor.shutdown(cancel_futures=True)


def _start(deterministic: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent process handles Ctrl-C
    from tfbp.console.quiet_tensorflow import tensorflow

    if deterministic:
        tensorflow.config.experimental.enable_op_determinism()
