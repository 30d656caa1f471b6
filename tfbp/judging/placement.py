"""Runs operations on the requested device, or raises an error.

By default TensorFlow places softly: under `tf.device("/GPU:0")` an operation without a GPU kernel runs on the CPU and
prints no message. Here it is an error with the operation's name, and every result's device is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tfbp.errors import InputError, check_choice
from tfbp.judging.failures import Failure

DEVICES = ("cpu", "gpu")


def check_device(device: str) -> None:
    """Raises `InputError` unless TensorFlow finds the device."""
    check_choice("device", device, DEVICES)
    if not tf.config.list_physical_devices(device.upper()):
        seen = ", ".join(sorted({d.device_type.lower() for d in tf.config.list_physical_devices()}))
        raise InputError(f"device: got {device!r}, which TensorFlow does not find here; accepted: {seen}.")


@contextmanager
def strictly() -> Iterator[None]:
    """Turns soft placement off, and restores the setting afterwards."""
    before = tf.config.get_soft_device_placement()
    tf.config.set_soft_device_placement(False)
    try:
        yield
    finally:
        tf.config.set_soft_device_placement(before)


@contextmanager
def strictly_on(device: str) -> Iterator[None]:
    """Opens the device "cpu" or "gpu", with soft placement off."""
    with strictly(), tf.device(f"/{device.upper()}:0"):
        yield


def is_on(value: Any, device: str) -> bool:
    """Whether a tensor is on the device.

    Example:
        >>> is_on(tf.ones([2]), "cpu"), is_on(tf.ones([2]), "gpu")
        (True, False)
    """
    # called for every result of the matrix: parsing the name costs more than a small network
    return value.device.endswith(f"/device:{device.upper()}:0")


def array_from(value: Any, device: str) -> Any:
    """Returns a tensor as an array; a `Failure` with its device where it is not the requested one; else the value."""
    if not tf.is_tensor(value):
        return value
    if not is_on(value, device):
        found = tf.DeviceSpec.from_string(value.device)
        where = f"{found.device_type}:{found.device_index}"
        return Failure(f"it is on {where}, not on {device.upper()}:0")
    return value.numpy()
