"""The tensors of a pass by hand, reduced to small arrays inside one compiled program.

H histograms, S scalars.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import manual, tape
from tfbp.fitting.block import take
from tfbp.network import at, map_weights, named_weights
from tfbp.training import step
from tfbp.training.reductions import (
    FLAT_AT_ZERO,
    LIMITS,
    dead_share,
    histogram,
    norm,
    root_mean_square,
    saturated_share,
)
from tfbp.training.structures import unflattened

# in place of 0 below a fraction
TINY = np.finfo(np.float32).tiny
# the scalars (S,), and of every histogram the least and greatest element (H, 2) and the counts (H, 30)
Measured = tuple[np.ndarray, np.ndarray, np.ndarray]


class Statistics:
    """The statistics of a `tfbp.Model` on one batch: of a training step that is taken, or of one that is not.

    A tag names a layer and, in the design's words, a tensor: y, dz, kernel, dkernel, bias, dbias.

        rms/layer_0/dkernel                     the root mean square of its elements
        update_to_weight/layer_0/kernel         ‖what the optimizer adds‖ / ‖kernel before it‖
        units_dead/layer_0, units_saturated/…   shares, where the activation can be either
        gradients_apart/layer_0/dkernel         ‖dkernel − the other writing's‖ / ‖the other writing's‖, if compared

    Args:
        model: compiled, its optimizer built.
        compare: whether to run the other writing on the batch too.
    """

    def __init__(self, model: Any, compare: bool) -> None:
        self._model, self._compare = model, compare
        # those that belong to it: another compile, or another clipping of fit, has others
        self.programs = model.replica_programs
        self.scalar_tags: list[str] = []
        self.histogram_tags: list[str] = []
        self._copies: list[keras.Variable] = []
        self._measure_program = tf.function(self._measure, jit_compile=True, autograph=False)
        self._step_program = tf.function(self._step, jit_compile=True, autograph=False)

    def __call__(self, batch: tuple[tf.Tensor, ...]) -> Measured:
        """Of a batch, at the weights as they stand, which are left as they are."""
        if not self._copies:
            self._copy_optimizer()
        return as_arrays(self._measure_program(*keras.tree.flatten(batch)))

    def step(self, rows: int, data: Sequence[tf.Tensor]) -> Any:
        """A program that takes a training step on so many rows of the data, and measures it on the way.

        Returns:
            A function of (rows, *data), see `MeasuredRun`, that returns the logs of the epoch so far, and what
            `__call__` returns, as tensors.
        """
        return self._step_program.get_concrete_function(
            tf.TensorSpec([rows], tf.int32), *map(tf.TensorSpec.from_tensor, data)
        )

    def _step(self, rows: tf.Tensor, *data: tf.Tensor) -> Any:
        model = self._model
        x, y, weight = unflattened(model, take(data, rows))
        scale, before, seed = step.loss_scale(model), step.read(model), step.seed_of(model)
        loss, gradients, passed = step.loss_gradients_and_tensors(model, before, x, y, weight, scale)
        step.apply(model, gradients)
        step.renew(model, passed)
        step.count_loss(model, loss, rows.shape[0], passed[-1]["loss"])
        logs = step.metrics(model, x, y, passed[-1], weight)
        updates = tf.nest.map_structure(tf.subtract, step.read(model), before)
        measured = self._reduced(before, gradients, passed, updates, scale, (x, y, weight), seed)
        return logs, measured

    def _measure(self, *data: tf.Tensor) -> Any:
        model = self._model
        x, y, sample_weight = unflattened(model, data)
        scale, parameters = step.loss_scale(model), step.read(model)
        _, gradients, passed = step.loss_gradients_and_tensors(model, parameters, x, y, sample_weight, scale)
        updates = self._updates(parameters, gradients)
        seed = step.seed_of(model)
        return self._reduced(parameters, gradients, passed, updates, scale, (x, y, sample_weight), seed)

    def _reduced(
        self,
        parameters: Any,
        gradients: Any,
        passed: Any,
        updates: Any,
        scale: Any,
        batch: tuple[Any, Any, Any],
        seed: Any,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        tensors: dict[str, tf.Tensor] = {}
        scalars: dict[str, tf.Tensor] = {}
        network = self._model.network
        for node in network.nodes:
            layer, passed_here = f"layer_{node.name}", at(passed, node.at)
            activation, outputs = network.activation_before_loss(node), passed_here["y"]
            tensors[f"{layer}/y"] = _wide(outputs)
            tensors[f"{layer}/dz"] = _unscaled(passed_here["dz"], scale)
            own = {} if node.layer.parts or node.calls_before else at(gradients, node.place)
            for name, dw in own.items():
                w = at(parameters, node.place)[name]
                tensors[f"{layer}/{name}"] = _wide(w)
                tensors[f"{layer}/d{name}"] = _unscaled(dw, scale)
                # 0 for weights that are all 0, as fresh biases are
                ratio = tf.math.divide_no_nan(norm(_wide(at(updates, node.place)[name])), norm(_wide(w)))
                scalars[f"update_to_weight/{layer}/{name}"] = ratio
            if activation.name in FLAT_AT_ZERO:
                scalars[f"units_dead/{layer}"] = dead_share(outputs)
            if activation.name in LIMITS:
                scalars[f"units_saturated/{layer}"] = saturated_share(_wide(outputs), *LIMITS[activation.name])
        scalars.update({f"rms/{tag}": root_mean_square(tensor) for tag, tensor in tensors.items()})
        if self._compare:
            other = tape if self._model.writing is manual else manual
            theirs = self._gradients_by(other, parameters, *batch, seed)
            for place, name, dw in named_weights(theirs):
                layer = f"layer_{'.'.join(map(str, place))}"
                off, size = norm(tensors[f"{layer}/d{name}"] - _wide(dw)), norm(_wide(dw))
                scalars[f"gradients_apart/{layer}/d{name}"] = off / tf.maximum(size, TINY)

        # known from here on: tracing comes before the first result
        self.scalar_tags, self.histogram_tags = list(scalars), list(tensors)
        histograms = [histogram(tensor) for tensor in tensors.values()]
        return (
            tf.stack([tf.cast(scalar, tf.float32) for scalar in scalars.values()]),
            tf.stack([tf.cast(limits, tf.float64) for limits, _ in histograms]),
            tf.stack([counts for _, counts in histograms]),
        )

    def _gradients_by(
        self, writing: Any, parameters: Any, x: tf.Tensor, y: tf.Tensor, sample_weight: Any, seed: Any
    ) -> Any:
        """The gradients of another writing, clipped as the model's are; layers draw what they drew in the step."""
        network, clip = self._model.weighted_network, self._model.clip
        parameters, x = step.fed(network, self._model.compute_dtype, parameters, x)
        if clip is None:
            return writing.loss_and_gradients(network, parameters, x, y, sample_weight, seed=seed)[1]
        clipped = writing.per_example.loss_and_clipped_gradients
        return clipped(network, parameters, x, y, clip, sample_weight, seed=seed)[1]

    def _copy_optimizer(self) -> None:
        # an update that is not done is what a copy of the optimizer does to a copy of the weights: exact for every one
        model = self._model
        self._copies = [keras.Variable(tf.zeros(w.shape), dtype=w.dtype, name=w.name) for w in step.variables(model)]
        self._optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        self._optimizer.build(
            [copy for copy, w in zip(self._copies, step.variables(model), strict=True) if w.trainable]
        )

    def _updates(self, parameters: Any, gradients: Any) -> list[dict[str, tf.Tensor]]:
        """The change that the optimizer would make to the weights, in the shape of `parameters`."""
        for copy, variable in zip(self._optimizer.variables, self._model.optimizer.variables, strict=True):
            copy.assign(variable.value)
        weights = [w for _, _, w in named_weights(parameters)]
        for copy, w in zip(self._copies, weights, strict=True):
            copy.assign(w)
        trained = [copy for copy, w in zip(self._copies, step.variables(self._model), strict=True) if w.trainable]
        self._optimizer.apply(step.flat(self._model, gradients), trained)
        added = iter([tf.convert_to_tensor(copy.value) - w for copy, w in zip(self._copies, weights, strict=True)])
        return map_weights(lambda _: next(added), parameters)


def as_arrays(measured: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> Measured:
    scalars, limits, counts = measured
    return scalars.numpy(), limits.numpy(), counts.numpy()


def _wide(tensor: tf.Tensor) -> tf.Tensor:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def _unscaled(tensor: tf.Tensor, scale: tf.Tensor | None) -> tf.Tensor:
    tensor = _wide(tensor)
    return tensor if scale is None else tensor / tf.cast(scale, tensor.dtype)
