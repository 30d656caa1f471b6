"""What the workers of a MultiWorkerMirroredStrategy have to agree on, and who of them writes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfbp.checks import InputError

if TYPE_CHECKING:
    from tfbp.training.model import Model


def spans_workers(model: Model) -> bool:
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
def lost_worker_named(model: Model) -> Iterator[None]:
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


def check_arrays(model: Model, argument: str, given: Any) -> None:
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


def check_alike(model: Model, arguments: Mapping[str, Any]) -> None:
    """Raise in every worker, where one has another model or was given something else than another; without this they
    would wait for each other without end, or train something that nobody asked for.

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
    total, squares = (model.distribute_strategy.experimental_local_results(each)[0].numpy() for each in results)
    # Cauchy-Schwarz: equality for equal numbers only
    differ = (total**2 != squares * model.distribute_strategy.num_replicas_in_sync).any(axis=1)
    if differ.any():
        names = ", ".join(name for name, different in zip(arguments, differ, strict=True) if different)
        raise InputError(f"fit: got workers with different {names}; accepted: the same arguments for every worker.")


def _checksum(value: Any) -> int:
    if isinstance(value, tuple):
        return zlib.crc32(b"".join(_checksum(each).to_bytes(4) for each in value))
    if isinstance(value, np.ndarray | tf.Tensor):
        array = np.ascontiguousarray(value)
        return zlib.crc32(array.tobytes(), zlib.crc32(f"{array.dtype} {array.shape}".encode()))
    return zlib.crc32(json.dumps(value, sort_keys=True, default=str).encode())
