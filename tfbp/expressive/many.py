"""Trains many networks of one shape in parallel as one program, by the manual gradient.

M networks, B batch, I inputs, O outputs.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfbp import manual
from tfbp.network import Network, Parameters


def train_many(
    network: Network,
    parameters: Parameters,
    x: np.ndarray,
    y: np.ndarray,
    *,
    steps: int,
    learning_rate: float,
    momentum: float = 0.9,
) -> tuple[np.ndarray, Parameters]:
    """Runs full-batch gradient descent with momentum on M networks, each with its own targets.

    Args:
        network: what all of them are.
        parameters: one dict per layer, kernel (M, I, O) and bias (M, O).
        x: (B, I), for all of them. y: (M, B, O).

    Returns:
        The outputs after training, (M, B, O), and the trained parameters.

    Example:
        >>> from tfbp import Dense
        >>> network = Network(1, [Dense(1)], "half_squared_error")
        >>> start = [{"kernel": np.zeros((2, 1, 1)), "bias": np.zeros((2, 1))}]
        >>> x = np.array([[0.0], [1.0]])
        >>> y = np.stack([2 * x, 1 - x])  # one learns 2x, the other 1 - x
        >>> outputs, trained = train_many(network, start, x, y, steps=300, learning_rate=0.2)
        >>> trained[0]["kernel"].ravel().round(6).tolist()
        [2.0, -1.0]
    """
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)

    def gradients(arguments):
        parameters, y = arguments
        return manual.loss_and_gradients(network, parameters, x, y)[1]

    def step(parameters, velocities):
        found = tf.vectorized_map(gradients, (parameters, y))
        velocities = tf.nest.map_structure(lambda v, g: momentum * v - learning_rate * g, velocities, found)
        return tf.nest.map_structure(tf.add, parameters, velocities), velocities

    @tf.function(jit_compile=True, autograph=False)
    def run(parameters):
        zeros = tf.nest.map_structure(tf.zeros_like, parameters)
        parameters, _ = tf.while_loop(lambda *_: True, step, (parameters, zeros), maximum_iterations=steps)
        outputs = tf.vectorized_map(lambda of_one: manual.forward(network, of_one, x), parameters)
        return outputs, parameters

    outputs, trained = run(tf.nest.map_structure(tf.convert_to_tensor, parameters))
    return outputs.numpy(), tf.nest.map_structure(lambda w: w.numpy(), trained)


def repeated_starts(network: Network, seeds: int, times: int, dtype: str = "float32") -> Parameters:
    """Returns parameters from the seeds 0, 1, …, the whole sequence `times` times: M = seeds · times networks."""
    starts = [network.init(seed) for seed in range(seeds)]
    stacked = [
        {name: np.stack([start[index][name] for start in starts]).astype(dtype) for name in layer}
        for index, layer in enumerate(starts[0])
    ]
    return [{name: np.tile(w, (times, *[1] * (w.ndim - 1))) for name, w in layer.items()} for layer in stacked]
