"""Where the data are while a model is trained: on its device whole, or on the host, from which blocks of them come in.

N samples, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.fitting.block import take
from tfbp.fitting.keras_internals import device_lib

# how much of an accelerator's memory the data may take: the model needs the rest
SHARE = 0.4
# what comes in at a time, about, of data that stay on the host
PIECE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Piece:
    """Some steps of an epoch and the data that hold them.

    Attributes:
        tensors, order: the data, and the rows in which the steps take them.
        start, stop: the steps, as the order counts them. rows: of the order that are the data's.
        first: the epoch's number of the order's step 0.
    """

    tensors: Sequence[tf.Tensor]
    order: tf.Tensor
    start: int
    stop: int
    rows: int
    first: int = 0


class Resident:
    """Data that are on the device whole."""

    def __init__(self, tensors: Sequence[tf.Tensor], batch_size: int) -> None:
        self.tensors, self._batch_size = tensors, batch_size

    def pieces(self, order: tuple[np.ndarray, tf.Tensor], start: int, stop: int) -> Iterator[Piece]:
        """The steps from `start` to before `stop`: all at once."""
        if start < stop:
            yield Piece(self.tensors, order[1], start, stop, len(order[0]))

    def rest(self, order: tuple[np.ndarray, tf.Tensor]) -> tuple[Sequence[tf.Tensor], tf.Tensor]:
        """The arguments of the last step, which is not full: the data, and its rows."""
        return self.tensors, tf.constant(order[0][len(order[0]) // self._batch_size * self._batch_size :])


class OnHost:
    """Data that are too large for the device: the rows of some steps at a time go there."""

    def __init__(self, tensors: Sequence[tf.Tensor], batch_size: int) -> None:
        self.tensors, self._batch_size = tensors, batch_size
        rows = int(tensors[0].shape[0])
        batch_bytes = max(1, sum(_bytes(tensor) for tensor in tensors) * batch_size // rows)
        self._most = max(1, min(rows // batch_size, PIECE_BYTES // batch_bytes))

    def pieces(self, order: tuple[np.ndarray, tf.Tensor], start: int, stop: int) -> Iterator[Piece]:
        """The steps from `start` to before `stop`, as many at a time as fit on the device."""
        size = self._batch_size
        for first in range(start, stop, self._most):
            count = min(self._most, stop - first)
            # always as many rows: the program is made for a shape
            rows = np.zeros(self._most * size, np.int32)
            taken = order[0][first * size : (first + count) * size]
            rows[: len(taken)] = taken
            yield Piece(self._taken(rows), tf.range(len(rows)), 0, count, len(taken), first)

    def rest(self, order: tuple[np.ndarray, tf.Tensor]) -> tuple[Sequence[tf.Tensor], tf.Tensor]:
        """The rows of the last step, that is not full."""
        rows = order[0][len(order[0]) // self._batch_size * self._batch_size :]
        return self._taken(rows), tf.range(len(rows))

    def _taken(self, rows: np.ndarray) -> list[tf.Tensor]:
        with tf.device("CPU:0"):
            return take(self.tensors, tf.constant(rows))


def residence_of(tensors: Sequence[tf.Tensor], batch_size: int) -> Resident | OnHost:
    """On the device if it is a CPU, or has room for them beside the model."""
    room = room_on_device()
    if room is not None and sum(map(_bytes, tensors)) > room and int(tensors[0].shape[0]) >= batch_size:
        return OnHost(tensors, batch_size)
    return Resident([tf.identity(tensor) for tensor in tensors] if room is not None else tensors, batch_size)


def room_on_device() -> int | None:
    """The bytes of data that the first accelerator has room for; None without one."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    limits: list[Any] = [
        device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"
    ]
    return int(SHARE * min(limits))


def _bytes(tensor: tf.Tensor) -> int:
    return tensor.dtype.size * int(np.prod(tensor.shape.as_list()))
