"""Each example's own gradient of a model's weights: the norm of its gradient, and all gradients' moments.

The gradient g_b of example b is that of its own loss, sample_weight[b] · losses[b], without 1/B and without penalties.
N samples, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.network import Parameters, map_weights, named_weights
from tfbp.training.model import Model
from tfbp.training.passes import passes


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
    backward computes them at the current weights, whatever the model trains with.

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
    if not isinstance(model, Model):
        kind, way = type(model).__name__, "tfbp.Model.from_keras(model, loss) makes one of a Keras model"
        raise InputError(f"model: got a {kind}; accepted: a tfbp.Model ({way}).")
    moments: Any = None
    for found in passes("moments", model, x, y, sample_weight, batch_size):
        moments = found if moments is None else tf.nest.map_structure(tf.add, moments, found)
    mean, second = tf.nest.map_structure(lambda total: total.numpy() / len(x), moments)
    return GradientStatistics(mean, tf.nest.map_structure(lambda m, s: np.maximum(s - m * m, 0), mean, second))


def _signal_to_noise(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    infinite = np.where(mean == 0, 0.0, np.inf)
    return np.divide(mean * mean, variance, out=infinite, where=variance > 0)
