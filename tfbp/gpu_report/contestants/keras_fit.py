"""Keras's own fit on a Sequential of Dense layers, as people call it; jit_compile is Keras's "auto"."""

from __future__ import annotations

from typing import Any

from tfbp.gpu_report.contestants.fit import POLICIES, Fit, keras


class GpuKerasFit(Fit):
    def __init__(self, problem: Any, precision: str, device: str) -> None:
        policy, (inputs, *hidden, classes) = POLICIES[precision], problem.size.widths
        layers = [keras.layers.Dense(units, "relu", dtype=policy) for units in hidden]
        model = keras.Sequential([keras.Input([inputs]), *layers, keras.layers.Dense(classes, dtype=policy)])
        model.set_weights([w for pair in problem.parameters for w in pair])
        model.compile(keras.optimizers.SGD(problem.rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        super().__init__(problem, precision, model)
