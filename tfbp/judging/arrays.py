"""Reads a tensor's numbers as a NumPy array in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def as_float64(tensor: Any) -> np.ndarray:
    """Returns the numbers, without a copy where the CPU has them in float64; the caller must not write to them.

    NumPy alone cannot read a bfloat16 tensor without axes, and a tensor's `numpy()` is a copy.
    """
    if isinstance(tensor, tf.Tensor) and tensor.dtype in (tf.float64, tf.float32) and tensor.device.endswith("CPU:0"):
        tensor = memoryview(tensor)
    elif hasattr(tensor, "numpy"):
        tensor = tensor.numpy()
    return np.asarray(tensor).astype(np.float64, copy=False)
