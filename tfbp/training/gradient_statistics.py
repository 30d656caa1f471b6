"""What each example, by itself, would do to a model's weights: the norm of its gradient, and all gradients' moments.

The gradient g_b of example b is that of its own loss, sample_weight[b] · losses[b], without 1/B and without penalties.
N samples, L layers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual
from tfbp.errors import InputError, check_count
from tfbp.network import Network, Parameters, map_weights, named_weights
from tfbp.training import samples, step
from tfbp.training.model import Model


def per_example_gradient_norms(
    model: Model, x: Any, y: Any, sample_weight: Any = None, *, per_layer: bool = False, batch_size: int = 256
) -> np.ndarray:
    """The norm of every example's own gradient, from one backward pass: it costs no more than the gradient does.

        ‖g_b‖² = Σ_layers (‖x_b‖² + 1) · ‖dz_b‖²        the 1 only where the layer has a bias

    It is always the hand-written backward that is asked, whatever the model trains with, at the weights as they stand.

    Args:
        model: a `tfbp.Model`, compiled or not.
        x, y, sample_weight: arrays of N samples, as for fit.
        per_layer: each layer's norm, in place of the norm over all parameters together.
        batch_size: how many samples a pass takes; it changes time and memory alone.

    Returns:
        (N,), or (N, L) with `per_layer`; float64 for a float64 model, else float32.

    Raises:
        InputError: something that is no tfbp.Model, arrays that do not fit it, a batch size below 1.

    Example:
        >>> import numpy as np
        >>> from tfbp import Dense, Model, Network, per_example_gradient_norms
        >>> model = Model(Network(2, [Dense(1, use_bias=False, kernel_initializer="ones")], "half_squared_error"))
        >>> per_example_gradient_norms(model, np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[5.0], [1.0]])).tolist()
        [10.0, 0.0]

    Reference: Goodfellow, Efficient per-example gradient computations (2015), https://arxiv.org/abs/1510.01799
    """
    norms = np.concatenate([each.numpy() for each in _passes("norms", model, x, y, sample_weight, batch_size)])
    return norms if per_layer else np.linalg.norm(norms, axis=1)


@dataclass(frozen=True)
class GradientStatistics:
    """The mean and the variance of the examples' own gradients, parameter by parameter.

    Attributes:
        mean: 1/N Σ_b g_b: one dict per layer, kernel (I, O) and bias (O,), float64. The loss's gradient, less that of
            penalties.
        variance: 1/N Σ_b (g_b - mean)², elementwise, in the same shape.
    """

    mean: Parameters
    variance: Parameters

    @property
    def signal_to_noise(self) -> Parameters:
        """mean² / variance, in the same shape; 0 where the mean is 0, infinite where all examples say the same."""
        variances = iter([variance for _, _, variance in named_weights(self.variance)])
        return map_weights(lambda mean: _signal_to_noise(mean, next(variances)), self.mean)


def gradient_statistics(
    model: Model, x: Any, y: Any, sample_weight: Any = None, *, batch_size: int = 256
) -> GradientStatistics:
    """How far the examples agree on the gradient of every single parameter: mean, variance, signal to noise.

        Σ_b g_b = xᵀ dz        Σ_b g_b² = (x²)ᵀ dz²        for a kernel, elementwise; added up in float64

    Two products for each layer beside those of the gradient; no example's gradient is ever made. The hand-written
    backward is asked, whatever the model trains with, at the weights as they stand.

    Args:
        model, x, y, sample_weight, batch_size: as for `per_example_gradient_norms`.

    Raises:
        InputError: as `per_example_gradient_norms`.

    Example:
        >>> import numpy as np
        >>> from tfbp import Dense, Model, Network, gradient_statistics
        >>> model = Model(Network(2, [Dense(1, use_bias=False, kernel_initializer="ones")], "half_squared_error"))
        >>> found = gradient_statistics(model, np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[5.0], [2.0]]))
        >>> found.mean[0]["kernel"].tolist(), found.variance[0]["kernel"].tolist()
        ([[3.0], [3.5]], [[9.0], [20.25]])
        >>> found.signal_to_noise[0]["kernel"][0].tolist()
        [1.0]

    Reference: Dangel, Kunstner and Hennig, BackPACK (2020), https://arxiv.org/abs/1912.10985
    """
    moments: Any = None
    for found in _passes("moments", model, x, y, sample_weight, batch_size):
        moments = found if moments is None else tf.nest.map_structure(tf.add, moments, found)
    mean, second = tf.nest.map_structure(lambda total: total.numpy() / len(x), moments)
    return GradientStatistics(mean, tf.nest.map_structure(lambda m, s: np.maximum(s - m * m, 0), mean, second))


def _passes(kind: str, model: Model, x: Any, y: Any, sample_weight: Any, batch_size: int) -> Iterator[Any]:
    """What the program of that kind finds, batch by batch."""
    if not isinstance(model, Model):
        raise InputError(f"model: got {model!r}; accepted: a tfbp.Model.")
    check_count("batch_size", batch_size)
    data = samples.tensors(model, samples.checked(model, x, y, sample_weight))
    program = _program(kind, model.network, model.compute_dtype, bool(model.jit_compile))
    parameters = step.read(model)
    for start in range(0, len(data[0]), batch_size):
        yield program(parameters, *(array[start : start + batch_size] for array in data))


@functools.lru_cache(maxsize=16)
def _program(kind: str, network: Network, dtype: str, jit_compile: bool) -> Any:
    function = {"norms": manual.per_example.gradient_norms, "moments": manual.per_example.gradient_moments}[kind]

    def run(parameters: Any, x: Any, y: Any, sample_weight: Any = None) -> Any:
        # an example's gradient is that of the network as it predicts, where layers would draw
        arguments = step.fed(network, dtype, parameters, x)
        return function(network, *arguments, y, sample_weight, training=not network.draws)

    return tf.function(run, jit_compile=jit_compile, autograph=False)


def _signal_to_noise(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    infinite = np.where(mean == 0, 0.0, np.inf)
    return np.divide(mean * mean, variance, out=infinite, where=variance > 0)
