"""Trains a network by the manual or the tape writing: each epoch's steps are one compiled program.

N samples, B batch, I inputs, O outputs, S steps of an epoch.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.checks import check_choice, check_parameters, check_x, check_y
from tfbp.network import Network, Parameters
from tfbp.training.block import run_block, run_rest
from tfbp.training.model import WRITINGS


class Trainer:
    """A network being trained.

    Args:
        network: what is trained; it classifies, so that its targets are labels or one-hot rows.
        parameters: where training starts, as `network.init` gives them.
        gradients: "manual" or "tape".
        optimizer: any Keras optimizer, fresh.
        x, y: the training samples, (N, I) and (N,) or (N, O). x's dtype is the dtype that everything runs in.

    Raises:
        InputError: arguments that do not fit the network.

    Example:
        >>> from tfbp import Dense, Network
        >>> network = Network(2, [Dense(2)], "sparse_categorical_crossentropy")
        >>> x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
        >>> trainer = Trainer(network, network.init(seed=0), "manual", keras.optimizers.SGD(1.0), x, y)
        >>> losses, accuracies = trainer.train_epoch(order=np.array([1, 0, 0]), batch_size=2)
        >>> losses.shape, accuracies.shape
        ((2,), (2,))
    """

    def __init__(
        self,
        network: Network,
        parameters: Parameters,
        gradients: str,
        optimizer: keras.Optimizer,
        x: np.ndarray,
        y: np.ndarray,
    ) -> None:
        check_choice("gradients", gradients, WRITINGS)
        check_parameters(network, parameters)
        check_x(network, x)
        check_y(network, x, y)
        self.network = network
        self._writing = WRITINGS[gradients]
        self._optimizer = optimizer
        self._data = (tf.convert_to_tensor(x), tf.convert_to_tensor(y))
        self._variables = [
            {name: keras.Variable(w, dtype=x.dtype.name, name=f"layer_{index}_{name}") for name, w in layer.items()}
            for index, layer in enumerate(parameters)
        ]
        self._flat = [variable for layer in self._variables for variable in layer.values()]
        optimizer.build(self._flat)
        self._epoch = tf.function(self._run_epoch, jit_compile=True, autograph=False)
        self._evaluate = tf.function(self._loss_and_accuracy, jit_compile=True, autograph=False)

    def train_epoch(self, order: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Each step's loss and accuracy, (S,), on batches of the rows in `order`, the last one as short as it falls."""
        losses, accuracies = self._epoch(self._data, tf.constant(order, tf.int32), batch_size)
        return losses.numpy(), accuracies.numpy()

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """The loss and the accuracy on samples x (N, I), y (N,) or (N, O)."""
        check_x(self.network, x)
        check_y(self.network, x, y)
        loss, accuracy = self._evaluate(tf.convert_to_tensor(x), tf.convert_to_tensor(y))
        return float(loss), float(accuracy)

    def parameters(self) -> Parameters:
        """A copy of the parameters as they stand."""
        return [{name: variable.value.numpy().copy() for name, variable in layer.items()} for layer in self._variables]

    def _run_epoch(self, data: Any, order: tf.Tensor, batch_size: int) -> Any:
        wide = tf.float64 if data[0].dtype == tf.float64 else tf.float32
        results = run_block(self._step, (wide, tf.float64), data, order, batch_size)
        if order.shape[0] % batch_size:
            rest = run_rest(self._step, data, order, batch_size)
            results = tuple(tf.concat([array, [last]], 0) for array, last in zip(results, rest, strict=True))
        return results

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, gradients, tensors = self._writing.loss_gradients_and_tensors(self.network, self._read(), x, y)
        self._optimizer.apply([gradient for layer in gradients for gradient in layer.values()], self._flat)
        return loss, _accuracy(tensors[-1]["outputs"], y)

    def _loss_and_accuracy(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, outputs = self._writing.loss_and_outputs(self.network, self._read(), x, y)
        return loss, _accuracy(outputs, y)

    def _read(self) -> Any:
        # once a step: two reads of a variable race with the optimizer's write in a graph without XLA
        return [{name: tf.convert_to_tensor(v) for name, v in layer.items()} for layer in self._variables]


def _accuracy(outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    labels = y if y.shape.rank == 1 else tf.argmax(y, axis=-1)
    return tf.reduce_mean(tf.cast(tf.argmax(outputs, axis=-1) == tf.cast(labels, tf.int64), tf.float64))
