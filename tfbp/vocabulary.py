"""The words that describe a network: activations, losses and regularizers, with their arguments.

The names, the arguments' names and their defaults are Keras's. Nothing is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from tfbp.errors import InputError, check_choice, likely

Arguments = Mapping[str, float | bool | None]

_REQUIRED = math.nan

ACTIVATIONS: Mapping[str, Arguments] = {
    "linear": {},
    "sigmoid": {},
    "tanh": {},
    "softplus": {},
    "softsign": {},
    "exponential": {},
    "silu": {},
    "gelu": {"approximate": False},
    "mish": {},
    "log_sigmoid": {},
    "tanh_shrink": {},
    "squareplus": {"b": 4.0},
    "gaussian": {},  # exp(-z²), which Keras does not have
    "relu": {"negative_slope": 0.0, "max_value": None, "threshold": 0.0},
    "relu6": {},
    "leaky_relu": {"negative_slope": 0.2},
    "elu": {"alpha": 1.0},
    "celu": {"alpha": 1.0},
    "selu": {},
    "hard_sigmoid": {},
    "hard_silu": {},
    "hard_tanh": {},
    "hard_shrink": {"threshold": 0.5},
    "soft_shrink": {"threshold": 0.5},
    "sparse_plus": {},
    "sparse_sigmoid": {},
    "threshold": {"threshold": _REQUIRED, "default_value": _REQUIRED},
    "softmax": {},
    "log_softmax": {},
    "sparsemax": {},
}
ACTIVATION_ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}

LOSSES: Mapping[str, Arguments] = {
    "half_squared_error": {},
    "mean_squared_error": {},
    "mean_absolute_error": {},
    "huber": {"delta": 1.0},
    "binary_crossentropy": {},
    "categorical_crossentropy": {},
    "sparse_categorical_crossentropy": {},
}

LOSS_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "bce": "binary_crossentropy"}

# name: its default learning rate
OPTIMIZERS = {"sgd": 0.1, "momentum": 0.05, "adam": 0.001}

REGULARIZERS = {"l1": (0.01, 0.0), "l2": (0.0, 0.01), "l1_l2": (0.01, 0.01)}

_POSITIVE = {("celu", "alpha"), ("squareplus", "b"), ("huber", "delta")}


@dataclass(frozen=True)
class Activation:
    """An activation by its Keras name, with the arguments of Keras's function.

    Args:
        name: one of `ACTIVATIONS` (or Keras's aliases swish and hard_swish): all of Keras's but glu, which changes the
            shape.
        arguments: those that differ from Keras's defaults, e.g. `{"negative_slope": 0.1}`.

    Raises:
        InputError: an unknown name or argument, or a value that is not a finite number.

    Example:
        >>> Activation("leaky_relu").arguments["negative_slope"]
        0.2
        >>> Activation("gelu", {"approximate": True}).arguments["approximate"]
        True

    Reference: https://keras.io/api/layers/activations/
    """

    name: str
    arguments: Arguments = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        name = ACTIVATION_ALIASES.get(self.name, self.name) if isinstance(self.name, str) else self.name
        if name == "glu":
            raise InputError(
                "activation: got 'glu', which halves the last axis; accepted: activations that keep the shape, see "
                "tfbp.vocabulary.ACTIVATIONS. tfbp.fit and tfbp.layers take glu."
            )
        _settle(self, "activation", ACTIVATIONS, name)


@dataclass(frozen=True)
class Loss:
    """A loss by its name, with its arguments. Cross-entropies take logits.

    Args:
        name: one of `LOSSES` (or Keras's aliases mse, mae and bce).
        arguments: `{"delta": 2.0}` for huber; the others take none.

    Raises:
        InputError: an unknown name or argument, or a value that is not a finite number.

    Example:
        >>> Loss("huber").arguments["delta"]
        1.0
        >>> Loss("mse").name
        'mean_squared_error'

    Reference: https://keras.io/api/losses/
    """

    name: str
    arguments: Arguments = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        name = LOSS_ALIASES.get(self.name, self.name) if isinstance(self.name, str) else self.name
        _settle(self, "loss", LOSSES, name)


@dataclass(frozen=True)
class L1L2:
    """A penalty on a weight w, added to the loss: l1 * sum(|w|) + l2 * sum(w^2).

    Raises:
        InputError: a negative or non-finite factor.

    Example:
        >>> L1L2(l2=1e-4)
        L1L2(l1=0.0, l2=0.0001)

    Reference: https://keras.io/api/layers/regularizers/
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for factor in ("l1", "l2"):
            value = getattr(self, factor)
            if not _is_finite_number(value) or value < 0:
                raise InputError(f"{factor}: got {value!r}; accepted: a finite number, 0 or more.")
            object.__setattr__(self, factor, float(value))


def activation(value: object) -> Activation:
    """Returns an `Activation` from itself, a name, or None (linear)."""
    return value if isinstance(value, Activation) else Activation("linear" if value is None else value)  # type: ignore[arg-type]


def loss(value: object) -> Loss:
    """Returns a `Loss` from itself or a name."""
    return value if isinstance(value, Loss) else Loss(value)  # type: ignore[arg-type]


def regularizer(argument: str, value: object) -> L1L2 | None:
    """Returns an `L1L2` (or None) from itself, or from Keras's names l1, l2 and l1_l2 with Keras's factors."""
    if value is None or isinstance(value, L1L2):
        return value
    check_choice(argument, value, REGULARIZERS, also="a tfbp.L1L2 or None")
    return L1L2(*REGULARIZERS[value])  # type: ignore[index]


def _settle(choice: Activation | Loss, kind: str, table: Mapping[str, Arguments], name: str) -> None:
    """Checks the name and arguments of a frozen choice, and writes its defaults in."""
    check_choice(kind, name, table, see=f"tfbp.vocabulary.{kind.upper()}{'S' if kind == 'activation' else 'ES'}")
    defaults = table[name]
    unknown = sorted(set(choice.arguments) - set(defaults))
    if unknown:
        accepted = ", ".join(defaults) or "no arguments"
        hint = likely(unknown[0], defaults)
        raise InputError(f"{kind} {name!r}: got the argument {unknown[0]!r}{hint}; accepted: {accepted}.")
    arguments = {**defaults, **choice.arguments}
    for argument, value in arguments.items():
        if argument not in choice.arguments and value is _REQUIRED:
            needed = ", ".join(defaults)
            raise InputError(
                f"{kind} {name!r}: got no {argument}; accepted: tfbp.Activation({name!r}, {{…}}) with {needed}."
            )
        if isinstance(defaults[argument], bool):
            if not isinstance(value, bool):
                raise InputError(f"{kind} {name!r}: {argument}: got {value!r}; accepted: True or False.")
        elif value is None and defaults[argument] is None:
            continue
        elif not _is_finite_number(value) or ((name, argument) in _POSITIVE and value <= 0):
            positive = " above 0" if (name, argument) in _POSITIVE else ""
            raise InputError(f"{kind} {name!r}: {argument}: got {value!r}; accepted: a finite number{positive}.")
        else:
            arguments[argument] = float(value)
    object.__setattr__(choice, "name", name)
    object.__setattr__(choice, "arguments", arguments)


def _is_finite_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
