"""Compares `linear_cross_entropy` with a matrix product, softmax cross-entropy and tape: a step's time and memory.

It computes loss, dx and dkernel of random tokens in float32. Memory is the peak of the first steps beyond the
arguments: on a GPU as TensorFlow's allocator counts it, on a CPU the process's resident size, which only Linux reports.
"""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
from tfbp.gpu_report.worker import Misplaced
from tfbp.judging.placement import is_on, strictly_on
from tfbp.losses import linear_cross_entropy
from tfbp.tape.linear_cross_entropy import linear_cross_entropy as plain

FIRST_STEPS = 2  # steps for the peak: allocators keep the memory that the first step frees
FUNCTIONS = {"manual": linear_cross_entropy, "tape": plain}


def measure(point: dict[str, Any], device: str) -> dict[str, Any]:
    """Returns seconds per step, bytes beyond the arguments, and the loss and gradients in a few numbers.

    Raises:
        Misplaced: a result on another device.
    """
    function, tokens, width, classes = (point[key] for key in ("contestant", "tokens", "width", "classes"))
    tf.config.experimental.enable_tensor_float_32_execution(False)
    with strictly_on(device):
        step = tf.function(_step(FUNCTIONS[function]), jit_compile=point["mode"] == "xla", autograph=False)
        for _ in range(FIRST_STEPS):
            step(*_arguments(16, 8, 24))  # first loads compilers, thread pools and kernels, which are not measured
        arguments = _arguments(tokens, width, classes)
        tf.test.experimental.sync_devices()
        before = _reset_peak(device)
        for _ in range(FIRST_STEPS):
            results = step(*arguments)
            float(results[0])  # waits for the step
        peak = _peak(device)
        seconds = []
        for _ in range(point["rounds"]):
            tf.test.experimental.sync_devices()
            started = time.perf_counter()
            float(step(*arguments)[0])
            tf.test.experimental.sync_devices()
            seconds.append(time.perf_counter() - started)
    if elsewhere := [result.device for result in results if not is_on(result, device)]:
        raise Misplaced(f"a result is on {elsewhere[0]}, not on {device!r}")
    return {
        "seconds": seconds,
        "median": statistics.median(seconds),
        "extra_bytes": None if before is None or peak is None else peak - before,
        "numbers": [float(results[0]), *(float(np.linalg.norm(result.numpy())) for result in results[1:])],
    }


def _step(function: Any) -> Any:
    def loss_and_gradients(x: tf.Tensor, kernel: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            loss = function(x, kernel, labels)
        return [loss, *tape.gradient(loss, (x, kernel))]

    return loss_and_gradients


def _arguments(tokens: int, width: int, classes: int) -> list[tf.Tensor]:
    x = tf.random.stateless_normal((tokens, width), seed=(0, 1))
    kernel = tf.random.stateless_normal((width, classes), seed=(0, 2)) / width**0.5
    return [x, kernel, tf.random.stateless_uniform((tokens,), (0, 3), 0, classes, tf.int32)]


def _reset_peak(device: str) -> int | None:
    """Returns the current bytes, from which the peak counts; None if the system does not report it."""
    if device == "gpu":
        tf.config.experimental.reset_memory_stats("GPU:0")
        return tf.config.experimental.get_memory_info("GPU:0")["current"]
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _peak(device: str) -> int | None:
    if device == "gpu":
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return _status("VmHWM")


def _status(name: str) -> int | None:
    try:
        found = re.search(name + r":\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
