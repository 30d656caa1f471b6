"""tfbp.Model: an epoch of steps as one XLA program, gradients by hand; strictly on the device that was requested."""

from __future__ import annotations

from typing import Any

from tfbp.gpu_report.contestants.fit import POLICIES, Fit, keras
from tfbp.judging.placement import strictly
from tfbp.training import Model


class GpuTfbpModel(Fit):
    def __init__(self, problem: Any, precision: str, device: str) -> None:
        model = Model(problem.size.network, dtype=POLICIES[precision])
        model.set_parameters([{"kernel": kernel, "bias": bias} for kernel, bias in problem.parameters])
        model.compile(keras.optimizers.SGD(problem.rate))
        super().__init__(problem, precision, model)

    def train(self, epochs: int, shuffle: bool) -> float:
        with strictly():
            return super().train(epochs, shuffle)
