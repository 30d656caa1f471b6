"""PyTorch: Linear and ReLU, loss and backward by torch.compile, SGD; batches by index from tensors on the device."""

from __future__ import annotations

import time
from typing import Any

import torch

from tfbp.gpu_report.worker import Unavailable

# PyTorch's names for the precision of a float32 product
PRODUCTS = {"float32": "highest", "tf32": "high", "bfloat16": "highest"}


class GpuTorchCompiled:
    version = f"PyTorch {torch.__version__}"

    def __init__(self, problem: Any, precision: str, device: str) -> None:
        if device == "gpu" and not torch.cuda.is_available():
            raise Unavailable("this torch finds no GPU here")
        self.problem, self.precision = problem, precision
        self._on = torch.device("cuda" if device == "gpu" else "cpu")
        self.x, self.y = torch.from_numpy(problem.x).to(self._on), torch.from_numpy(problem.y).long().to(self._on)
        layers: list[Any] = []
        for kernel, bias in problem.parameters:
            linear = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(kernel.T))
                linear.bias.copy_(torch.from_numpy(bias))
            layers += [linear, torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers[:-1]).to(self._on)
        self.optimizer = torch.optim.SGD(self.network.parameters(), problem.rate)
        self._loss_of = torch.compile(self._loss)
        self.loss = float("nan")
        torch.set_float32_matmul_precision(PRODUCTS[precision])
        try:
            self._loss_of(self.x[: problem.size.batch], self.y[: problem.size.batch]).backward()
        except Exception as error:  # whatever the compiler lacks on this machine
            raise Unavailable(f"torch.compile: {str(error).strip().splitlines()[0]}") from error

    def train(self, epochs: int, shuffle: bool) -> float:
        torch.set_float32_matmul_precision(PRODUCTS[self.precision])
        started = time.perf_counter()
        for _ in range(epochs):
            samples = len(self.x)
            order = torch.randperm(samples, device=self._on) if shuffle else torch.arange(samples, device=self._on)
            total = torch.zeros((), device=self._on)
            for rows in order.split(self.problem.size.batch):
                self.optimizer.zero_grad()
                loss = self._loss_of(self.x[rows], self.y[rows])
                loss.backward()
                self.optimizer.step()
                total += loss.detach()
        if self._on.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        self.loss = float(total) / self.problem.size.steps
        return seconds

    @property
    def device(self) -> str:
        found = {"gpu" if weight.device.type == "cuda" else "cpu" for weight in self.network.parameters()}
        return ", ".join(sorted(found))

    def _loss(self, x: Any, y: Any) -> Any:
        with torch.autocast(self._on.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return torch.nn.functional.cross_entropy(self.network(x), y)
