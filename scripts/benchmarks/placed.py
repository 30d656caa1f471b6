"""Runs a benchmark in this process on one device only, in full float32, and checks the devices of its results."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from tfbp.judging.placement import is_on, strictly


class Misplaced(Exception):
    """A result on another device than the chosen one."""


@contextmanager
def alone_on(device: str) -> Iterator[None]:
    """Soft placement and TF32 off; for the CPU, without visible GPUs."""
    if device == "cpu" and tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    with strictly():
        yield


def check(what: str, tensors: list[tf.Tensor], device: str) -> None:
    """Raise `Misplaced` unless all are there."""
    for tensor in tensors:
        if not is_on(tensor, device):
            where = tf.DeviceSpec.from_string(tensor.device)
            raise Misplaced(f"{what}: on {where.device_type}:{where.device_index}, not on {device!r}.")
