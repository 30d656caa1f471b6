"""Converts the loss of a compiled Keras model to a loss of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfbp.errors import InputError, likely, one_of
from tfbp.network import Network
from tfbp.vocabulary import LOSSES, Loss

# a cross-entropy, and the activation that turns its logits into probabilities
PROBABILITIES = {
    "binary_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
}


def losses_of(model: keras.Model) -> tuple[list[tuple[Loss, bool]], list[float] | None]:
    """Returns each output's loss in a Keras model's compile, whether a cross-entropy takes logits, and the weights.

    Raises:
        InputError: a model that is not compiled, an output without a loss, or a loss or option that a network does not
            have.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> model.compile("sgd", keras.losses.Huber(delta=2.0))
        >>> losses_of(model)
        ([(Loss(name='huber', arguments={'delta': 2.0}), False)], None)
    """
    compiled, names = getattr(model, "loss", None), output_names(model)
    if compiled is None and len(names) == 1:
        raise InputError("loss: got none, and a model that is not compiled; accepted: a loss, or a compiled model.")
    weights = getattr(getattr(model, "_compile_loss", None), "_user_loss_weights", None)
    several, factors = (_by_output(given, names) for given in (compiled, weights))
    if several is None or len(several) != len(names) or any(each is None for each in several):
        got = "a model that is not compiled" if compiled is None else f"{compiled!r} in compile"
        raise InputError(f"loss: got none, and {got}; accepted: a loss for each of {names}.")
    return [_known(each) for each in several], factors and [1.0 if w is None else float(w) for w in factors]


def given_losses(model: keras.Model, loss: Any) -> tuple[Any, list[bool | None]]:
    """Returns losses as a network takes them, and whether each takes logits; None for one that is not Keras's.

    Args:
        loss: a name, a `tfbp.Loss` or a Keras loss; a list of them in the outputs' order, or a dict by their names.

    Raises:
        InputError: names that are not the outputs', or a Keras loss that a network does not have.
    """
    names = output_names(model)
    if isinstance(loss, Mapping):
        if set(loss) != set(names):
            raise InputError(f"loss: got losses of {sorted(loss)}; accepted: one for each of {sorted(names)}.")
        loss = [loss[name] for name in names]
    several = isinstance(loss, list | tuple)
    found = [
        _known(one) if isinstance(one, keras.losses.Loss) else (one, None) for one in (loss if several else [loss])
    ]
    losses = [one for one, _ in found]
    is_one = not several or len(losses) == len(names) == 1
    return losses[0] if is_one else losses, [takes_logits for _, takes_logits in found]


def output_names(model: Any) -> list[str]:
    """Returns the names of a model's outputs, by which Keras takes losses."""
    return list(getattr(getattr(model, "_functional", model), "output_names", ["output"]))


def _by_output(given: Any, names: list[str]) -> list[Any] | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        return [given.get(name) for name in names]
    return list(given) if isinstance(given, list | tuple) else [given] * len(names)


def _known(compiled: Any) -> tuple[Loss, bool]:
    keras_loss = keras.losses.get(compiled) if isinstance(compiled, str) else compiled
    function: Any = getattr(keras_loss, "fn", keras_loss)
    options = dict(getattr(keras_loss, "_fn_kwargs", {}))
    name = getattr(function, "__name__", type(keras_loss).__name__)
    if name not in LOSSES:
        raise InputError(f"loss: got {name!r} in compile{likely(name, LOSSES)}; accepted: {one_of(LOSSES)}.")
    if getattr(keras_loss, "reduction", "sum_over_batch_size") != "sum_over_batch_size":
        raise InputError(f"loss: got reduction={keras_loss.reduction!r} in compile; accepted: 'sum_over_batch_size'.")
    from_logits = bool(options.pop("from_logits", False))
    if smoothing := options.pop("label_smoothing", 0):
        raise InputError(f"loss: got label_smoothing={smoothing} in compile; accepted: 0.")
    return Loss(name, {argument: options[argument] for argument in LOSSES[name] if argument in options}), from_logits


def check_logits(network: Network, *from_logits: bool | None) -> None:
    """Raises `InputError` unless each last activation fits the Keras cross-entropy's input, logits or probabilities."""
    for loss, activation, logits in zip(network.losses, network.output_activations, from_logits, strict=True):
        wanted, last = PROBABILITIES.get(loss.name), activation.name
        if wanted is not None and logits is not None and (last == wanted) == logits:
            given = f"from_logits={logits} in compile after a last activation {last}"
            raise InputError(f"loss: got {given}; accepted: from_logits={not logits}, or another last activation.")
