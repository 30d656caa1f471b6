"""The networks of the agreement matrix, as data with readable names, and the numbers of each.

No case hides a mistake: batches over 1, square kernels and others, biases away from 0, arguments different from their
defaults, penalized weights at 0, targets that do not sum to 1, sums that are long for 16 bits, no zero-initialized last
layer. `points` has the pre-activations on a kink and far out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfbp.agreement.more_cases import more_cases
from tfbp.agreement.problems import Case
from tfbp.network import (
    Dense,
    Network,
    Setting,
    attention,
    bidirectional,
    convolution,
    dense,
    dropout,
    einsum,
    embedding,
    linear_cross_entropy,
    masks,
    merge,
    noise,
    normalization,
    padding,
    pooling,
    position,
    rearranging,
    recurrent,
    registered,
    residual,
    scaling,
    sequences,
    shapes,
    transposed,
    upsampling,
    volumes,
)
from tfbp.vocabulary import ACTIVATIONS, LOSSES, Activation, Loss

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
    """Every activation between two dense layers, and a fused last layer."""
    choices = {name: Activation(name, _ARGUMENTS.get(name, {})) for name in ACTIVATIONS} | _VARIANTS
    for name, activation in choices.items():
        network = Network(7, [Dense(5, activation), Dense(3)], "half_squared_error")
        yield Case(f"{name}-B12-I7-O5", network, 12)


def loss_cases() -> Iterator[Case]:
    """Every loss on a linear last layer, and the two fused last layers."""
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


# the modules of `tfbp.network` with CASES, in the order of the matrix
FILES = (
    *(dense, shapes, residual, convolution, pooling, normalization, dropout, noise),
    *(
        merge,
        scaling,
        einsum,
        rearranging,
        transposed,
        upsampling,
        padding,
        sequences,
        volumes,
        recurrent,
        bidirectional,
        embedding,
        position,
        linear_cross_entropy,
        attention,
        masks,
    ),
)


def cases_of(*files: Any) -> list[Case]:
    """Returns the cases of these modules of `tfbp.network`."""
    return [_case(setting) for file in files for setting in file.CASES]


def shape_cases() -> Iterator[Case]:
    """Dense layers on rows: depths, widths, no bias, penalties, one sample, one unit."""
    return (case for case in cases_of(dense) if len(case.network.input_shape) == 1)


def registered_cases() -> list[Case]:
    """Returns the cases of the kinds that `tfbp.register` has registered."""
    return [_case(setting) for writings in registered().values() for setting in writings.cases]


def _case(setting: Setting) -> Case:
    of_losses = {"loss_masks": setting.loss_masks, "loss_weights": setting.loss_weights}
    network = Network(setting.inputs, setting.layers, setting.loss, **of_losses)
    return Case(setting.name, network, setting.batch, setting.any_targets, setting.training, setting.weighs_examples)


def all_cases() -> list[Case]:
    """Returns every case of the matrix."""
    of_kinds = [*cases_of(*FILES[1:]), *registered_cases(), *more_cases()]
    return [*cases_of(dense), *loss_cases(), *activation_cases(), *of_kinds]
