"""JAX: an epoch as one jitted lax.scan over the rows of its batches; the data are on the device."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tfbp.gpu_report.worker import Unavailable

# JAX's names for the precision of a float32 product
PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}


class GpuJaxScan:
    version = f"JAX {jax.__version__}"

    def __init__(self, problem: Any, precision: str, device: str) -> None:
        try:
            jax.devices("cuda" if device == "gpu" else "cpu")
        except (RuntimeError, AssertionError):  # the second where JAX has no plugin for GPUs
            raise Unavailable(f"this jax finds no {device.upper()} here") from None
        self.problem, self.precision, self.rng = problem, precision, np.random.default_rng(0)
        self.x, self.y = jnp.asarray(problem.x), jnp.asarray(problem.y)
        self.parameters = jax.tree.map(jnp.asarray, problem.parameters)
        dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
        self._epoch = jax.jit(partial(_epoch, dtype=dtype, rate=problem.rate), donate_argnums=0)
        self.loss = float("nan")

    def train(self, epochs: int, shuffle: bool) -> float:
        started = time.perf_counter()
        with jax.default_matmul_precision(PRODUCTS[self.precision]):
            for _ in range(epochs):
                order = np.arange(len(self.problem.x), dtype=np.int32)
                if shuffle:
                    self.rng.shuffle(order)
                rows = order.reshape(self.problem.size.steps, -1)
                self.parameters, losses = self._epoch(self.parameters, self.x, self.y, rows)
        jax.block_until_ready(self.parameters)
        seconds = time.perf_counter() - started
        self.loss = float(losses.mean())
        return seconds

    @property
    def device(self) -> str:
        found = {device.platform for leaf in jax.tree.leaves(self.parameters) for device in leaf.devices()}
        return ", ".join(sorted(found))


def _epoch(parameters: Any, x: Any, y: Any, order: Any, dtype: Any, rate: float) -> Any:
    """Returns the parameters after one step of plain SGD on each row of `order` (steps, B), and the losses before."""

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        *hidden, last = jax.tree.map(lambda w: w.astype(dtype), parameters)
        x = x.astype(dtype)
        for kernel, bias in hidden:
            x = jax.nn.relu(x @ kernel + bias)
        log_probabilities = jax.nn.log_softmax((x @ last[0] + last[1]).astype(jnp.float32))
        return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], axis=1))

    def step(parameters: Any, rows: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(parameters, x[rows], y[rows])
        return jax.tree.map(lambda w, dw: w - rate * dw, parameters, gradients), value

    return jax.lax.scan(step, parameters, order)
