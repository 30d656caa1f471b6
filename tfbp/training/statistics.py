"""What a pass by hand has in its hands, reduced to small arrays inside one compiled program.

B batch, I inputs, O outputs of a layer; H histograms, S scalars.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import manual, tape

if TYPE_CHECKING:
    from tfbp.training.model import Model

BUCKETS = 30
# elements that a histogram is made of, at most
SAMPLE = 2**12
# activations that are flat where their output is 0: a unit that is 0 for the whole batch learns nothing from it
FLAT_AT_ZERO = ("relu", "relu6", "hard_silu", "hard_shrink", "soft_shrink", "sparse_plus")
# the limits of activations that flatten out towards both
LIMITS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "sparse_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
# this part of the range between the limits counts as "at" a limit, at either end
NEAR = 0.01
# in place of 0 below a fraction
TINY = np.finfo(np.float32).tiny


def norm(tensor: tf.Tensor) -> tf.Tensor:
    """The Euclidean norm of all elements, sqrt(Σ t²).

    Example:
        >>> float(norm(tf.constant([[3.0], [4.0]])))
        5.0
    """
    rows = tf.reshape(tensor, [-1, tensor.shape[-1]])
    # row sums as a product: XLA's own reduction adds one element after the other, ten times slower
    return tf.sqrt(tf.reduce_sum(tf.linalg.matvec(rows * rows, tf.ones_like(rows[0]))))


def histogram(tensor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The least and the greatest element, (2,), and how many lie in each of 30 equal buckets between, (30,).

    Of a tensor with more than 2^12 elements, an evenly spaced sample stands for all: a histogram's look takes no more.

    Example:
        >>> limits, counts = histogram(tf.constant([0.0, 0.01, 1.0]))
        >>> limits.numpy().tolist(), int(counts[0]), int(counts[29])
        ([0.0, 1.0], 2, 1)
    """
    flat = tf.reshape(tensor, [-1])[:: _stride(tensor.shape)]
    low, high = tf.reduce_min(flat), tf.reduce_max(flat)
    width = tf.where(high > low, (high - low) / BUCKETS, 1)
    bucket = tf.cast(tf.clip_by_value((flat - low) / width, 0, BUCKETS - 1), tf.int32)
    counts = tf.math.unsorted_segment_sum(tf.ones_like(bucket), bucket, BUCKETS)
    return tf.stack([low, high]), counts


def _stride(shape: tf.TensorShape) -> int:
    """The least step that takes at most `SAMPLE` elements, and takes them from every column."""
    stride = math.ceil(shape.num_elements() / SAMPLE)
    while math.gcd(stride, shape[-1]) > 1:
        stride += 1
    return stride


def dead_share(y: tf.Tensor) -> tf.Tensor:
    """The share of units that are 0 for every row of y, (B, O).

    Example:
        >>> float(dead_share(tf.constant([[0.0, 1.0], [0.0, 0.0]])))
        0.5
    """
    dead = tf.reduce_all(y == 0, axis=0)
    return tf.reduce_mean(tf.cast(dead, tf.float32))


def saturated_share(y: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """The share of the elements of y, (B, O), in the outer hundredth of the range from low to high, at either end.

    Example:
        >>> float(saturated_share(tf.constant([[0.5, 0.995, 0.001, 0.98]]), 0, 1))
        0.5
    """
    margin = NEAR * (high - low)
    return tf.reduce_mean(tf.cast((y <= low + margin) | (y >= high - margin), tf.float32))


class Statistics:
    """The statistics of a `tfbp.Model` on one batch, at its weights as they stand, which are left as they are.

    A tag names a layer and, in the design's words, a tensor: y, dz, kernel, dkernel, bias, dbias.

        norm/layer_0/dkernel                    ‖dkernel‖
        update_to_weight/layer_0/kernel         ‖what the optimizer would add on this batch‖ / ‖kernel‖
        dead/layer_0, saturated/layer_0         shares, where the activation can be either
        disagreement/layer_0/dkernel            ‖dkernel − the other writing's‖ / ‖the other writing's‖, if compared

    Args:
        model: compiled, its optimizer built.
        compare: whether to run the other writing on the batch too.
    """

    def __init__(self, model: Model, compare: bool) -> None:
        self._model, self._compare = model, compare
        self.optimizer = model.optimizer
        self.scalar_tags: list[str] = []
        self.histogram_tags: list[str] = []
        # the update is what a copy of the optimizer does to a copy of the weights: exact for every optimizer
        self._copies = [keras.Variable(tf.zeros(w.shape), dtype=w.dtype, name=w.name) for w in model._variables()]
        self._optimizer = type(self.optimizer).from_config(self.optimizer.get_config())
        self._optimizer.build(self._copies)
        self.program = tf.function(self._measure, jit_compile=True, autograph=False)

    def __call__(self, batch: tuple[tf.Tensor, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The scalars, (S,), and of every histogram the least and greatest element, (H, 2), and the counts, (H, 30)."""
        scalars, limits, counts = self.program(*batch)
        return scalars.numpy(), limits.numpy(), counts.numpy()

    def _measure(self, x: tf.Tensor, y: tf.Tensor, sample_weight: tf.Tensor | None = None) -> Any:
        model = self._model
        parameters, scale = model._read(), model._loss_scale()
        x = tf.cast(x, model.compute_dtype)
        _, gradients, passed = model._loss_gradients_and_tensors(parameters, x, y, sample_weight, scale)
        updates = self._updates(parameters, gradients)

        tensors: dict[str, tf.Tensor] = {}
        scalars: dict[str, tf.Tensor] = {}
        for index, activation in enumerate(model.network.activations_before_loss):
            layer, outputs = f"layer_{index}", passed[index]["y"]
            tensors[f"{layer}/y"] = _wide(outputs)
            tensors[f"{layer}/dz"] = _unscaled(passed[index]["dz"], scale)
            for name, w in parameters[index].items():
                tensors[f"{layer}/{name}"] = _wide(w)
                tensors[f"{layer}/d{name}"] = _unscaled(gradients[index][name], scale)
                # 0 for weights that are all 0, as fresh biases are
                ratio = tf.math.divide_no_nan(norm(_wide(updates[index][name])), norm(_wide(w)))
                scalars[f"update_to_weight/{layer}/{name}"] = ratio
            if activation.name in FLAT_AT_ZERO:
                scalars[f"dead/{layer}"] = dead_share(outputs)
            if activation.name in LIMITS:
                scalars[f"saturated/{layer}"] = saturated_share(_wide(outputs), *LIMITS[activation.name])
        scalars.update({f"norm/{tag}": norm(tensor) for tag, tensor in tensors.items()})
        if self._compare:
            other = tape if model._writing is manual else manual
            theirs = self._gradients_by(other, parameters, x, y, sample_weight)
            for index, layer in enumerate(theirs):
                for name, dw in layer.items():
                    ours = tensors[f"layer_{index}/d{name}"]
                    off, size = norm(ours - _wide(dw)), norm(_wide(dw))
                    scalars[f"disagreement/layer_{index}/d{name}"] = off / tf.maximum(size, TINY)

        # known from here on: tracing comes before the first result
        self.scalar_tags, self.histogram_tags = list(scalars), list(tensors)
        histograms = [histogram(tensor) for tensor in tensors.values()]
        return (
            tf.stack([tf.cast(scalar, tf.float32) for scalar in scalars.values()]),
            tf.stack([tf.cast(limits, tf.float64) for limits, _ in histograms]),
            tf.stack([counts for _, counts in histograms]),
        )

    def _gradients_by(self, writing: Any, parameters: Any, x: tf.Tensor, y: tf.Tensor, sample_weight: Any) -> Any:
        """The gradients of another writing, clipped as the model's are."""
        network, clip = self._model.network, self._model._clip
        if clip is None:
            return writing.loss_and_gradients(network, parameters, x, y, sample_weight)[1]
        return writing.per_example.loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight)[1]

    def _updates(self, parameters: Any, gradients: Any) -> list[dict[str, tf.Tensor]]:
        """What the optimizer would add to the weights, in the shape of `parameters`."""
        for copy, variable in zip(self._optimizer.variables, self.optimizer.variables, strict=True):
            copy.assign(variable.value)
        weights = [w for layer in parameters for w in layer.values()]
        for copy, w in zip(self._copies, weights, strict=True):
            copy.assign(w)
        flat = [tf.cast(dw, self._model.variable_dtype) for layer in gradients for dw in layer.values()]
        self._optimizer.apply(flat, self._copies)
        added = iter([tf.convert_to_tensor(copy.value) - w for copy, w in zip(self._copies, weights, strict=True)])
        return [{name: next(added) for name in layer} for layer in parameters]


def _wide(tensor: tf.Tensor) -> tf.Tensor:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def _unscaled(tensor: tf.Tensor, scale: tf.Tensor | None) -> tf.Tensor:
    tensor = _wide(tensor)
    return tensor if scale is None else tensor / tf.cast(scale, tensor.dtype)
