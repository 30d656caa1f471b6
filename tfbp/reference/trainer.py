"""Trains a network by the reference, in NumPy; the other two writings' trajectories are compared with it.

N samples, B batch, I inputs, O outputs, S steps of an epoch.
"""

import numpy as np

from tfbp.network import at, map_weights
from tfbp.reference.backprop import loss_gradients_and_tensors


class Trainer:
    """A network in training, step by step.

    Args:
        network: a classifier: its targets are labels or one-hot rows.
        parameters: the first parameters, as `network.init` returns them.
        optimizer: one of `tfbp.reference.optimizers`, new.
        x, y: the training samples, (N, I) or (N, …), and labels (N,) or (N, …), or targets of the outputs' shape.
        seed: of the layers that draw, as in a `tfbp.Model` of that seed.

    Example:
        >>> from tfbp import Dense, Network
        >>> from tfbp.reference.optimizers import SGD
        >>> network = Network(2, [Dense(2)], "sparse_categorical_crossentropy")
        >>> trainer = Trainer(network, network.init(seed=0), SGD(1.0), np.eye(2), np.array([0, 1]))
        >>> losses, accuracies = trainer.train_epoch(order=np.array([1, 0, 0]), batch_size=2)
        >>> losses.shape, accuracies.shape
        ((2,), (2,))
    """

    def __init__(self, network, parameters, optimizer, x, y, seed=0):
        self.network = network
        self._optimizer = optimizer
        self._seed = seed * 2**31
        self._x, self._y = np.asarray(x, None if network.tokens else np.float64), np.asarray(y)
        self._parameters = map_weights(lambda w: np.array(w, np.float64), parameters)

    def train_epoch(self, order, batch_size):
        """Returns each step's loss and accuracy, (S,), on batches of the rows in `order`; the last may be shorter."""
        losses, accuracies = [], []
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            x, y = self._x[rows], self._y[rows]
            loss, gradients, tensors = loss_gradients_and_tensors(self.network, self._parameters, x, y, seed=self._seed)
            self._optimizer.apply(gradients, self._parameters)
            self._seed += 1
            for node in self.network.nodes:
                # weights without a gradient
                for name, new in at(tensors, node.at).get("new_weights", {}).items():
                    at(self._parameters, node.place)[name][...] = new
            losses.append(loss)
            accuracies.append(_accuracy(tensors[-1]["outputs"], y))
        return np.array(losses), np.array(accuracies)

    def parameters(self):
        """Returns a copy of the current parameters."""
        return map_weights(np.copy, self._parameters)


def _accuracy(outputs, y):
    labels = y if y.ndim < outputs.ndim else y.argmax(axis=-1)
    return (outputs.argmax(axis=-1) == labels).mean()
