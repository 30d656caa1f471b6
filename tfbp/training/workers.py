"""The workers of a MultiWorkerMirroredStrategy: the arguments that they agree on, and the one that writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.errors import InputError

# ends the process `pid` unless that ends, or ends this guard, in time
_GUARD = """
import os, signal, sys, time
seconds, pid, sentence = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
end = time.monotonic() + seconds
while time.monotonic() < end:
    time.sleep(0.1)
    if os.getppid() != pid:
        sys.exit()
print(sentence, file=sys.stderr, flush=True)
os.kill(pid, signal.SIGALRM)
time.sleep(5)
if os.getppid() == pid:
    os.kill(pid, signal.SIGKILL)
"""


def multi_worker_strategy(start_within: float = 120) -> tf.distribute.MultiWorkerMirroredStrategy:
    """A `tf.distribute.MultiWorkerMirroredStrategy` from TF_CONFIG, that does not wait for its peers without end.

    TensorFlow waits for a worker that never starts inside a call which hears no signal but SIGKILL and lets no thread
    run. So a process beside this one ends it, with a sentence on standard error, when the time is over.

    To be called before any other use of TensorFlow.

    Args:
        start_within: seconds, above 0.

    Raises:
        InputError: a TF_CONFIG that is none, `start_within` not above 0.

    Reference: https://www.tensorflow.org/guide/distributed_training#setting_up_tf_config_environment_variable
    """
    if not 0 < start_within < float("inf"):
        raise InputError(f"start_within: got {start_within!r}; accepted: a finite number of seconds above 0.")
    cluster, me = _check_tf_config(os.environ.get("TF_CONFIG", ""))
    peers = ", ".join(address for job in cluster.values() for address in job if address != me)
    sentence = f"{me}: after {start_within:g} seconds, not all of the other workers ({peers}) have started."
    guard = subprocess.Popen(
        [sys.executable, "-S", "-c", _GUARD, str(start_within), str(os.getpid()), sentence], stdin=subprocess.DEVNULL
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    finally:
        guard.kill()
        guard.wait()


def spans_workers(model: Any) -> bool:
    """Whether other processes may train the same model."""
    return isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files and progress bars.

    Example:
        >>> is_chief(tf.distribute.get_strategy())
        True
    """
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict() if resolver is not None else {}
    if not jobs:
        return True
    return resolver.task_type == ("chief" if "chief" in jobs else "worker") and resolver.task_id == 0


@contextmanager
def lost_worker_named(model: Any) -> Iterator[None]:
    """TensorFlow's pages of text on a connection that broke, as one sentence.

    Raises:
        ConnectionError: another worker is gone.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
        if not spans_workers(model):
            raise
        reason = str(error.message).strip().splitlines()[0][:200]
        raise ConnectionError(f"A worker is gone ({reason}): start all of them again.") from error


def check_arrays(model: Any, argument: str, given: Any) -> None:
    """Raise where data that are no arrays in memory would go into Keras's own loop, which knows one process only.

    Raises:
        InputError: such data under a MultiWorkerMirroredStrategy.

    Reference: https://github.com/keras-team/keras/issues/20585
    """
    if spans_workers(model):
        raise InputError(
            f"{argument}: got a {type(given).__name__} under MultiWorkerMirroredStrategy; accepted: arrays in memory, "
            "in a compiled model that does not run eagerly, without a number of steps (Keras's own loop, which has the "
            "rest, does not run under this strategy)."
        )


def check_alike(model: Any, arguments: Mapping[str, Any]) -> None:
    """Raise in every worker if one has another model or other arguments. Without this check they would wait for each
    other without end, or train on different data.

    Args:
        arguments: of fit, by name: arrays, tuples of arrays, or what JSON can write.

    Raises:
        InputError: arguments that are not alike, named.
    """
    if not spans_workers(model):
        return
    metrics = [] if model._compile_metrics is None else model._compile_metrics.metrics
    arguments = {
        "network": (model.network.to_json(), model.gradients, model.seed),
        "optimizer": model.optimizer.get_config(),
        "metrics": [metric.name for metric in metrics],
        **arguments,
    }
    # halves of a checksum, so that float64 holds every sum of squares exactly
    halves = np.array([divmod(_checksum(value), 2**16) for value in arguments.values()], np.float64)

    def sums() -> Any:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.constant(halves), tf.constant(halves**2)])

    results = model.distribute_strategy.run(tf.function(sums))
    total, squares = (model.distribute_strategy.experimental_local_results(result)[0].numpy() for result in results)
    # Cauchy-Schwarz: equality for equal numbers only
    differ = (total**2 != squares * model.distribute_strategy.num_replicas_in_sync).any(axis=1)
    if differ.any():
        names = ", ".join(name for name, different in zip(arguments, differ, strict=True) if different)
        raise InputError(f"fit: got workers with different {names}; accepted: the same arguments for every worker.")


def _check_tf_config(text: str) -> tuple[dict[str, list[str]], str]:
    """The addresses by job, and this process's own."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        return cluster, cluster[task["type"]][int(task["index"])]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"TF_CONFIG: got {text!r}; accepted: JSON as in "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error


def _checksum(value: Any) -> int:
    if isinstance(value, tuple):
        return zlib.crc32(b"".join(_checksum(item).to_bytes(4) for item in value))
    if isinstance(value, np.ndarray | tf.Tensor):
        array = np.ascontiguousarray(value)
        return zlib.crc32(array.tobytes(), zlib.crc32(f"{array.dtype} {array.shape}".encode()))
    return zlib.crc32(json.dumps(value, sort_keys=True, default=str).encode())
