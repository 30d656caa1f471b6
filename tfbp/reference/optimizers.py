"""SGD, momentum and Adam in NumPy, by Keras's update rules, for trajectories of the reference.

Parameters and gradients are lists of dicts of arrays; `apply` updates the parameters in place.
"""

import numpy as np

from tfbp.errors import check_choice, check_positive
from tfbp.network import at, named_weights


class SGD:
    """Updates velocity <- momentum · velocity - learning_rate · gradient;  parameter <- parameter + velocity.

    Example:
        >>> parameters = [{"kernel": np.array([1.0])}]
        >>> SGD(0.5).apply([{"kernel": np.array([2.0])}], parameters)
        >>> parameters[0]["kernel"]
        array([0.])

    Reference: https://keras.io/api/optimizers/sgd/
    """

    def __init__(self, learning_rate, momentum=0.0):
        self.learning_rate = _as_keras_stores(learning_rate)
        self.momentum = _as_keras_stores(momentum)
        self._velocities = {}

    def apply(self, gradients, parameters):
        for key, parameter, gradient in _items(parameters, gradients):
            velocity = self.momentum * self._velocities.get(key, 0.0) - self.learning_rate * gradient
            self._velocities[key] = velocity
            parameter += velocity


class Adam:
    """Keeps bias-corrected running means of the gradient and its square; the step is their quotient.

        mean   <- mean + (1 - beta_1) (gradient - mean)
        square <- square + (1 - beta_2) (gradient² - square)
        parameter <- parameter - learning_rate √(1 - beta_2^t) / (1 - beta_1^t) · mean / (√square + epsilon)

    Reference: Kingma and Ba (2014), https://arxiv.org/abs/1412.6980; https://keras.io/api/optimizers/adam/
    """

    def __init__(self, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate = _as_keras_stores(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._step = 0
        self._means, self._squares = {}, {}

    def apply(self, gradients, parameters):
        self._step += 1
        beta_1, beta_2 = _as_keras_stores(self.beta_1), _as_keras_stores(self.beta_2)
        correction = np.sqrt(1 - beta_2**self._step) / (1 - beta_1**self._step)
        for key, parameter, gradient in _items(parameters, gradients):
            mean, square = self._means.get(key, 0.0), self._squares.get(key, 0.0)
            mean = mean + (1 - self.beta_1) * (gradient - mean)
            square = square + (1 - self.beta_2) * (gradient**2 - square)
            self._means[key], self._squares[key] = mean, square
            parameter -= self.learning_rate * correction * mean / (np.sqrt(square) + self.epsilon)


def optimizer(name, learning_rate):
    """Returns the optimizer with this name: "sgd", "momentum" (0.9) or "adam".

    Raises:
        InputError: an unknown name, or a learning rate that is not above 0.
    """
    check_choice("optimizer", name, ("sgd", "momentum", "adam"))
    check_positive("learning_rate", learning_rate)
    if name == "adam":
        return Adam(learning_rate)
    return SGD(learning_rate, {"sgd": 0.0, "momentum": 0.9}[name])


def _items(parameters, gradients):
    for place, name, gradient in named_weights(gradients):
        yield (place, name), at(parameters, place)[name], gradient


def _as_keras_stores(number):
    """Rounds to float32: Keras keeps the learning rate in float32, and casts momentum and Adam's powers to it."""
    return float(np.float32(number))
