"""The cells of the matrix in several processes, each with a TensorFlow of its own: tracing keeps one core busy."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# a process takes seconds to import TensorFlow, and about a gigabyte
CELLS_WORTH_A_PROCESS, MOST = 24, 4


def processes_for(cells: int, device: str) -> int:
    """How many there are where nobody says: on a GPU one, which has all of its memory."""
    return max(1, min(os.cpu_count() or 1, MOST, cells // CELLS_WORTH_A_PROCESS)) if device == "cpu" else 1


@contextmanager
def mapping(processes: int, deterministic: bool = False) -> Iterator[Callable[..., Iterator[Any]]]:
    """`map` in so many processes: what it gives comes in order."""
    if processes == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(processes, _start, [deterministic]) as pool:
        yield pool.imap


def _start(deterministic: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is answered by the process that was called
    from tfbp.commands.quiet_tensorflow import tensorflow

    if deterministic:
        tensorflow.config.experimental.enable_op_determinism()
