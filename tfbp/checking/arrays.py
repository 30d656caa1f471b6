"""A tensor's numbers as a NumPy array in float64."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_float64(tensor: Any) -> np.ndarray:
    """Its numbers, without a copy where it holds float64's on the CPU: to be read only.

    NumPy by itself cannot take a bfloat16 tensor without axes, and a tensor's `numpy()` is a copy.
    """
    if hasattr(tensor, "numpy"):
        on_cpu = str(getattr(tensor, "device", "")).endswith("CPU:0")
        is_seen = on_cpu and getattr(tensor.dtype, "name", "") in ("float64", "float32")
        tensor = memoryview(tensor) if is_seen else tensor.numpy()
    return np.asarray(tensor).astype(np.float64, copy=False)
