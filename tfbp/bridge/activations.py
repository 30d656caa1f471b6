"""Converts between Keras's activation functions and layers and `tfbp.Activation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfbp import manual
from tfbp.vocabulary import ACTIVATION_ALIASES, ACTIVATIONS, Activation

# Keras 3.13 to 3.15 computes tau from a sum of cumulative sums, so that a row of y does not sum to 1
WRONG_IN_KERAS = ("sparsemax",)
# Keras's operations by the names of their classes, and those of their attributes that are arguments
_OF_OPERATIONS = {
    **{"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Selu": "selu"},
    **{"Silu": "silu", "Softsign": "softsign", "LogSigmoid": "log_sigmoid", "HardSigmoid": "hard_sigmoid"},
    **{"HardSilu": "hard_silu", "Exp": "exponential", "Elu": "elu", "LeakyRelu": "leaky_relu", "Gelu": "gelu"},
    **{"Softmax": "softmax", "LogSoftmax": "log_softmax"},
}
_ARGUMENTS = ("negative_slope", "alpha", "approximate")


@keras.saving.register_keras_serializable(package="tfbp")
class KerasActivation:
    """An activation function that Keras can save: one with arguments, or one that only tfbp has."""

    def __init__(self, name: str, arguments: Mapping[str, float | bool | None]) -> None:
        self.activation = Activation(name, arguments)
        self.__name__ = name

    def __call__(self, x: Any) -> Any:
        in_keras = _in_keras(self.activation.name)
        if in_keras is None:
            return manual.activations.activation_forward(self.activation, x)[0]
        return in_keras(x, **self.activation.arguments)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.activation.name, "arguments": dict(self.activation.arguments)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasActivation:
        return cls(**config)


def activation_of(given: Any) -> Activation | None:
    """Returns the `tfbp.Activation` that a Keras activation function or layer computes; None for any other callable.

    Example:
        >>> activation_of(keras.activations.swish).name
        'silu'
        >>> activation_of(keras.layers.ReLU(max_value=2.0)).arguments["max_value"]
        2.0
        >>> activation_of(keras.activations.sparsemax) is None
        True
    """
    if isinstance(given, KerasActivation):
        return given.activation
    if isinstance(given, keras.layers.Activation):
        return activation_of(given.activation)
    if isinstance(given, keras.layers.LeakyReLU):
        return Activation("leaky_relu", {"negative_slope": float(given.negative_slope)})
    if isinstance(given, keras.layers.ELU):
        return Activation("elu", {"alpha": float(given.alpha)})
    if isinstance(given, keras.layers.Softmax) and given.axis == -1:
        return Activation("softmax")
    if isinstance(given, keras.layers.ReLU):
        return _relu(given)
    name = getattr(given, "__name__", "")
    name = ACTIVATION_ALIASES.get(name, name)
    if name in ACTIVATIONS and _in_keras(name) is given:
        return Activation(name)
    return None


def activation_of_operation(operation: Any, rank: int) -> Activation | None:
    """Returns the activation that an operation on a tensor of this rank computes; None for any other operation."""
    kind = type(operation).__name__
    if kind not in _OF_OPERATIONS or getattr(operation, "axis", -1) not in (-1, rank - 1):
        return None
    given = {name: vars(operation)[name] for name in _ARGUMENTS if name in vars(operation)}
    return Activation(_OF_OPERATIONS[kind], given)


def activation_of_one_operation(function: Any) -> Activation | None:
    """Returns the activation of a function that is one operation, such as `partial(ops.gelu, approximate=True)`."""
    x = keras.Input((2, 3))
    try:
        operation, number, _ = function(x)._keras_history
    except Exception:  # a user's function may raise anything
        return None
    taken = operation._inbound_nodes[number].input_tensors
    is_one = len(taken) == 1 and taken[0] is x
    return activation_of_operation(operation, len(x.shape)) if is_one else None


def keras_activation(activation: Activation) -> Any:
    """Returns the Keras function of this activation.

    It is a `KerasActivation` if its arguments differ from the defaults, or if Keras has no such function."""
    in_keras = _in_keras(activation.name)
    if in_keras is not None and dict(activation.arguments) == dict(ACTIVATIONS[activation.name]):
        return in_keras
    return KerasActivation(activation.name, activation.arguments)


def _in_keras(name: str) -> Any:
    """Returns Keras's function that computes the activation of that name; None without one."""
    return None if name in WRONG_IN_KERAS else getattr(keras.activations, name, None)


def _relu(layer: Any) -> Activation:
    slope, limit, threshold = float(layer.negative_slope), layer.max_value, float(layer.threshold)
    if slope and limit is None and not threshold:
        return Activation("leaky_relu", {"negative_slope": slope})
    if limit == 6 and not slope and not threshold:
        return Activation("relu6")
    limit = None if limit in (None, float("inf")) else float(limit)
    return Activation("relu", {"negative_slope": slope, "max_value": limit, "threshold": threshold})
