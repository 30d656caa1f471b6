"""One step of a `tfbp.Model` taken apart: the first tensor of it that is not finite."""

from __future__ import annotations

from typing import Any

from tfbp.fitting.suspects import Found, first_of, is_finite
from tfbp.network import at, named_weights
from tfbp.training import step
from tfbp.training.structures import batch_of


def first_non_finite(model: Any, batch: Any) -> Found | None:
    """Take one step, eagerly: the first tensor that is not finite, in the order in which they are computed.

    Returns:
        Its name, its kind, and its first such element with its index; None where all are finite.
    """
    x, y, sample_weight = batch_of(model, batch)
    gradients, tensors = step.loss_gradients_and_tensors(model, step.read(model), x, y, sample_weight)[1:]
    *layers, last = tensors
    nodes = model.network.nodes
    named = [(f"layer {i} {name}", "parameter", w.value) for i, name, w in _each(model.parameter_variables)]
    named += [
        (f"layer {node.name} {name}", "activation", at(layers, node.at)[name]) for node in nodes for name in ("z", "y")
    ]
    for number, losses in enumerate(last["losses"] if isinstance(last["losses"], tuple) else (last["losses"],)):
        named.append((f"losses of output {number}" if model.output_losses else "losses", "loss", losses))
    # a loss scale lets gradients overflow on purpose: the optimizer skips the step
    if step.loss_scale(model) is None:
        for node in reversed(nodes):
            named.append((f"layer {node.name} dz", "delta", at(layers, node.at)["dz"]))
            if not node.layer.parts and not node.calls_before:
                own = at(gradients, node.place)
                named += [(f"layer {node.name} d{name}", "gradient", dw) for name, dw in own.items()]
    for name, kind, tensor in named:
        if not is_finite(tensor):
            return name, kind, *first_of(tensor)
    step.train(model, x, y, sample_weight)
    for i, name, variable in _each(model.parameter_variables):
        if not is_finite(variable.value):
            return f"layer {i} {name}", "update", *first_of(variable.value)
    return None


def _each(parameters: Any) -> list[tuple[str, str, Any]]:
    return [(".".join(map(str, place)), name, w) for place, name, w in named_weights(parameters)]
