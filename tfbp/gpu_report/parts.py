"""Measures the parts of a training step: programs that do more and more of it, and the differences of their times.

The programs gather a batch; gather and forward; gather, forward and backward; all of it and the optimizer; and the rest
of `Model.fit`. Each is a loop of an epoch's steps as one XLA program, as in `fit`. The time is the host's, when the
device is done. Parallel work counts once, and noise can make a difference negative.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
from tfbp import manual
from tfbp.fitting.block import Block
from tfbp.gpu_report.contestants.tfbp_model import GpuTfbpModel
from tfbp.gpu_report.sizes import Size
from tfbp.gpu_report.steps import StepTask
from tfbp.gpu_report.worker import Misplaced
from tfbp.judging.placement import is_on, strictly_on

PARTS = ("gather", "forward", "backward", "optimizer", "fit")


def measure(point: dict[str, Any], device: str) -> dict[str, Any]:
    """Returns microseconds per step of each part, and of `fit` as a whole; medians of rounds that take turns.

    Raises:
        Misplaced: a result on another device.
    """
    size = Size(tuple(point["widths"]), point["batch"], point["steps"], point["title"])
    problem = StepTask.make(size)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    trained = GpuTfbpModel(problem, "float32", device)
    with strictly_on(device):
        runs = {name: _timed(program, device) for name, program in programs(problem).items()}
    # not under tf.device: Keras feeds its own loops from the host
    runs["fit"] = lambda epochs: trained.train(epochs, shuffle=False)
    for run in runs.values():
        run(1)
    epochs = {name: max(1, math.ceil(point["seconds"] / run(1))) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(point["rounds"]):
        for name in list(runs) if turn % 2 else list(reversed(runs)):
            times[name].append(runs[name](epochs[name]) / (epochs[name] * size.steps) * 1e6)
    totals = {name: statistics.median(each) for name, each in times.items()}
    before = [0.0, *totals.values()]
    parts = {name: total - less for (name, total), less in zip(totals.items(), before, strict=False)}
    return {"microseconds": parts, "step": totals["fit"], "times": times}


def programs(problem: StepTask) -> dict[str, Callable[[], Any]]:
    """Returns a program for each part but fit, which also does the parts before it; and its arguments, bound."""
    network, rate = problem.size.network, problem.rate
    parameters = [{"kernel": tf.constant(kernel), "bias": tf.constant(bias)} for kernel, bias in problem.parameters]
    x, y = tf.constant(problem.x), tf.constant(problem.y)
    order = tf.constant(np.random.default_rng(0).permutation(len(problem.x)).astype(np.int32))

    def gather(left: Any, parameters: Any, batch: Any) -> Any:
        return batch

    def forward(left: Any, parameters: Any, batch: Any) -> Any:
        return manual.forward(network, parameters, batch[0]), batch[1]

    def backward(left: Any, parameters: Any, batch: Any) -> Any:
        return manual.loss_and_gradients(network, parameters, *batch)

    def optimizer(left: Any, parameters: Any, batch: Any) -> Any:
        loss, gradients = manual.loss_and_gradients(network, left[1], *batch)
        return loss, tf.nest.map_structure(lambda w, dw: w - rate * dw, left[1], gradients)

    def bound(part: Callable[..., Any], batch: int = problem.size.batch) -> Callable[[], Any]:
        # the loop carries a step's results on, so that XLA cannot drop them
        first = part((None, parameters), parameters, (x[:batch], y[:batch]))
        start = (first[0], parameters) if part is optimizer else first

        def program(x: Any, y: Any, order: Any, parameters: Any, start: Any) -> Any:
            def step(number: tf.Tensor, left: Any, rows: Any) -> Any:
                return part(left, parameters, rows if part is not gather else tuple(rows))

            return Block(step, batch).run(start, [x, y], order)[1]

        compiled = tf.function(program, jit_compile=True, autograph=False)
        return lambda: compiled(x, y, order, parameters, start)

    return {part.__name__: bound(part) for part in (gather, forward, backward, optimizer)}


def _timed(program: Callable[[], Any], device: str) -> Callable[[int], float]:
    """Measures the seconds of so many epochs."""

    def run(epochs: int) -> float:
        with strictly_on(device):
            tf.test.experimental.sync_devices()
            started = time.perf_counter()
            for _ in range(epochs):
                results = program()
            tf.test.experimental.sync_devices()
            seconds = time.perf_counter() - started
        # TensorFlow may keep integers in host memory
        floats = [result for result in tf.nest.flatten(results) if result.dtype.is_floating]
        if elsewhere := [tensor.device for tensor in floats if not is_on(tensor, device)]:
            raise Misplaced(f"a result is on {elsewhere[0]}, not on {device!r}")
        return seconds

    return run
