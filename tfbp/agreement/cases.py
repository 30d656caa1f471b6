"""The networks of the agreement matrix, as data with readable names, and the numbers they are tried on.

Nothing is lazy: batches over 1, kernels that are square and that are not, biases away from 0, arguments off their
defaults, penalised weights at 0, targets that do not sum to 1, sums that are long for 16 bits, no head of zeros.
Pre-activations on a kink and far out are `points`.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfbp.agreement.kind_cases import attention_cases, image_cases, layer_kind_cases, sequence_cases, token_cases
from tfbp.agreement.more_cases import more_cases
from tfbp.agreement.problems import Case
from tfbp.network import (
    Dense,
    Network,
)
from tfbp.vocabulary import ACTIVATIONS, L1L2, LOSSES, Activation, Loss

_ARGUMENTS = {"threshold": {"threshold": 0.1, "default_value": -0.3}}
_VARIANTS = {
    "gelu-approximate": Activation("gelu", {"approximate": True}),
    "relu-slope-0.1": Activation("relu", {"negative_slope": 0.1}),
    "relu-max-1": Activation("relu", {"max_value": 1.0}),
    "relu-bounded": Activation("relu", {"negative_slope": 0.1, "max_value": 1.0, "threshold": 0.25}),
    "leaky_relu-0.3": Activation("leaky_relu", {"negative_slope": 0.3}),
    "elu-0.5": Activation("elu", {"alpha": 0.5}),
    "celu-2": Activation("celu", {"alpha": 2.0}),
    "squareplus-1": Activation("squareplus", {"b": 1.0}),
    "hard_shrink-0.3": Activation("hard_shrink", {"threshold": 0.3}),
    "soft_shrink-0.8": Activation("soft_shrink", {"threshold": 0.8}),
}


def activation_cases() -> Iterator[Case]:
    """Every activation between two dense layers, and a fused head."""
    choices = {name: Activation(name, _ARGUMENTS.get(name, {})) for name in ACTIVATIONS} | _VARIANTS
    for name, activation in choices.items():
        network = Network(7, [Dense(5, activation), Dense(3)], "half_squared_error")
        yield Case(f"{name}-B12-I7-O5", network, 12)


def loss_cases() -> Iterator[Case]:
    """Every loss on a linear head, and the two fused heads."""
    for name in LOSSES:
        yield Case(f"{name}-B9-I6-O4", Network(6, [Dense(5, "tanh"), Dense(4)], name), 9)
    yield Case("huber-0.4-B9-I6-O4", Network(6, [Dense(5, "tanh"), Dense(4)], Loss("huber", {"delta": 0.4})), 9)
    any_sum = Network(6, [Dense(5, "tanh"), Dense(4)], "categorical_crossentropy")
    yield Case("categorical_crossentropy-any-sum-B9-I6-O4", any_sum, 9, any_targets=True)
    for activation, name in (
        ("softmax", "categorical_crossentropy"),
        ("softmax", "sparse_categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
    ):
        yield Case(f"{activation}-{name}-B9-I6-O4", Network(6, [Dense(5, "tanh"), Dense(4, activation)], name), 9)


def shape_cases() -> Iterator[Case]:
    """Depths, widths, no bias, penalties, one sample, one unit."""
    loss = "sparse_categorical_crossentropy"
    penalty = L1L2(l1=0.01, l2=0.02)
    regularized = [Dense(6, "tanh", kernel_regularizer=penalty, bias_regularizer=penalty), Dense(4)]
    yield Case("dense-B33-I64-O10", Network(64, [Dense(10)], loss), 33)
    # a dx that is not transposed has the right shape here, and so has a bias summed over the wrong axis
    yield Case("square-B5-I5-O5", Network(5, [Dense(5, "tanh"), Dense(5)], loss), 5)
    yield Case("wide-B64-I300-O10", Network(300, [Dense(200, "relu"), Dense(10)], loss), 64)
    # sums over more than 1,024 rows and 512 inputs; penalties of many weights
    yield Case("long-B1100-I520-O6", Network(520, [Dense(6, "tanh", kernel_regularizer=penalty), Dense(3)], loss), 1100)
    yield Case("deep5-B20-I12-O5", Network(12, [*(Dense(16 - i, "tanh") for i in range(4)), Dense(5)], loss), 20)
    yield Case("no-bias-B8-I5-O3", Network(5, [Dense(4, "sigmoid", use_bias=False), Dense(3, use_bias=False)], loss), 8)
    yield Case("regularized-B8-I5-O4", Network(5, regularized, loss), 8)
    yield Case("one-sample-B1-I5-O3", Network(5, [Dense(4, "silu"), Dense(3)], loss), 1)
    yield Case("one-unit-B6-I1-O1", Network(1, [Dense(1, "tanh"), Dense(1)], "mean_squared_error"), 6)


def all_cases() -> list[Case]:
    of_layers = [*layer_kind_cases(), *image_cases(), *sequence_cases(), *attention_cases(), *token_cases()]
    return [*shape_cases(), *loss_cases(), *activation_cases(), *of_layers, *more_cases()]
