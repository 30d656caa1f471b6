"""One step of a `tfbp.Model` taken apart: the first tensor of it that is not finite."""

from __future__ import annotations

from typing import Any

import keras

from tfbp.fitting.suspects import Found, first_of, is_finite
from tfbp.training import step


def first_non_finite(model: Any, batch: Any) -> Found | None:
    """Take one step, eagerly: the first tensor that is not finite, in the order in which they are computed.

    Returns:
        Its name, its kind, and its first such element with its index; None where all are finite.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    gradients, tensors = step.loss_gradients_and_tensors(model, step.read(model), x, y, sample_weight)[1:]
    *layers, last = tensors
    named = [(f"layer {i} {name}", "parameter", w.value) for i, name, w in _each(model.parameter_variables)]
    named += [(f"layer {i} {name}", "activation", layer[name]) for i, layer in enumerate(layers) for name in ("z", "y")]
    named.append(("losses", "loss", last["losses"]))
    # a loss scale lets gradients overflow on purpose: the optimizer skips the step
    if step.loss_scale(model) is None:
        for i in reversed(range(len(layers))):
            named.append((f"layer {i} dz", "delta", layers[i]["dz"]))
            named += [(f"layer {i} d{name}", "gradient", dw) for name, dw in gradients[i].items()]
    for name, kind, tensor in named:
        if not is_finite(tensor):
            return name, kind, *first_of(tensor)
    step.train(model, x, y, sample_weight)
    for i, name, variable in _each(model.parameter_variables):
        if not is_finite(variable.value):
            return f"layer {i} {name}", "update", *first_of(variable.value)
    return None


def _each(parameters: Any) -> list[tuple[int, str, Any]]:
    return [(i, name, w) for i, layer in enumerate(parameters) for name, w in layer.items()]
