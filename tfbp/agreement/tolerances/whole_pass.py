"""Tolerances of a whole pass, tensor by tensor, as measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.problems import Problem, of_each_loss
from tfbp.agreement.tolerances import formulas, monte_carlo
from tfbp.agreement.tolerances.monte_carlo import Rounding, plain
from tfbp.judging.tolerances import Units
from tfbp.network import Network, at, map_weights, named_weights
from tfbp.network.validation import as_tuple
from tfbp.reference import graph
from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.backprop import joined
from tfbp.reference.losses import loss_backward, loss_forward
from tfbp.reference.masks import masked_weights
from tfbp.reference.regularizers import penalty_backward, penalty_forward
from tfbp.reference.tied import tied_backward, tied_forward

Errors = tuple[Any, Any, Any]


def errors_of_the_pass(network: Network, numbers: Problem, units: Units, options: Any) -> Errors:
    """Returns T of the loss, the gradients and the tensors of the pass, by Monte Carlo arithmetic."""
    exact = _flat(*_pass(network, numbers, None, options))
    limits = monte_carlo.sensitivity(lambda noise: _flat(*_pass(network, numbers, noise, options)), exact, units)
    _, gradients, tensors = _pass(network, numbers, None, options)
    gradients = map_weights(lambda _: None, gradients)
    for place, name, _ in list(named_weights(gradients)):
        at(gradients, place)[name] = limits[f"{place} d{name}"]
    along = [_like(tensor, limits, (index,)) for index, tensor in enumerate(tensors)]
    return limits["loss"], gradients, along


def gradients_of_the_pass(network: Network, numbers: Problem, rounding: Rounding) -> Any:
    """Returns the gradients with random errors in every operation."""
    return _pass(network, numbers, rounding, {})[1]


def _pass(network: Network, numbers: Problem, noise: Rounding | None, options: Any) -> Errors:
    """Runs `reference.loss_gradients_and_tensors` on arrays with errors in their operations.

    The loss, which is computed in float32 or wider, has the errors of its formula."""
    training, seed = options.get("training", True), options.get("seed")
    on = (lambda array: array) if noise is None else noise.on
    parameters, network_graph = map_weights(on, numbers.parameters), network.graph_before_loss
    x = [on(one) for one in as_tuple("x", numbers.x, len(network.input_shapes))]
    with activations_with(noise):
        made, tensors, residuals = graph.graph_forward(
            network_graph,
            tied_forward(network, parameters),
            x,
            training=training,
            seed=None if seed is None else (seed, 0),
        )
    total, lasts = 0.0, []
    dmade: dict[int, Any] = {}
    for output, number in enumerate(network.loss_at):
        at_mask = network.loss_masks[output]
        mask = None if at_mask is None else plain(made[at_mask])
        loss, last = _loss(network, numbers, output, plain(made[number]), mask, noise)
        total = total + loss
        graph.add(dmade, number, on(last["doutputs"]))
        lasts.append(last)
    with activations_with(noise):
        gradients = tied_backward(network, graph.graph_backward(network_graph, tensors, residuals, dmade))
    for place, name, regularizer in network.penalties:
        w, layer = at(parameters, place)[name], at(gradients, place)
        layer[name] = layer[name] + penalty_backward(regularizer, w)
        total = total + penalty_forward(regularizer, w)[0]
    return total, gradients, [*tensors, joined(lasts)]


def _loss(
    network: Network, numbers: Problem, output: int, outputs: Any, mask: Any, noise: Rounding | None
) -> tuple[Any, Any]:
    """Returns one output's part of the loss, and its tensors by name."""
    count, loss_of, counts = len(network.losses), network.losses[output], network.loss_weights[output]
    y = as_tuple("y", numbers.y, count)[output]
    weight = of_each_loss(network, as_tuple("sample_weight", numbers.sample_weight, count)[output], output)
    weight = weight if mask is None else masked_weights(weight, mask)
    losses, residuals = loss_forward(loss_of, y, outputs)
    dlosses = counts * (weight / weight.size)
    doutputs = loss_backward(loss_of, dlosses, residuals)
    if noise is not None:
        unit = noise.units.loss
        losses = noise.moved(losses, formulas.loss_forward_error(loss_of, y, outputs, unit))
        doutputs = noise.moved(doutputs, formulas.loss_backward_error(loss_of, dlosses, y, outputs, unit))
        dlosses = noise.moved(dlosses, 8 * unit * np.abs(dlosses))
        # returned in the narrower dtype
        doutputs = plain(noise.of_operation(doutputs))
    loss = counts * (weight * losses).mean()
    if noise is not None:
        loss = noise.moved(loss, 8 * unit * counts * (weight * np.abs(losses)).mean())
    return loss, {"outputs": outputs, "losses": losses, "dlosses": dlosses, "doutputs": doutputs}


def activation_forward_with(rounding: Rounding, activation: Any, z: Any) -> Any:
    """Returns y, wrong by as much as any formula of the activation may be."""
    error = formulas.activation_forward_error(activation, plain(z), rounding.units)
    return rounding.on(rounding.moved(activation_forward(activation, plain(z))[0], error))


def activation_backward_with(rounding: Rounding, activation: Any, dy: Any, z: Any) -> Any:
    """Returns dz, wrong by as much as any formula of the derivative may be."""
    error = formulas.activation_backward_error(activation, plain(dy), plain(z), rounding.units)
    return rounding.on(rounding.moved(activation_backward(activation, plain(dy), plain(z)), error))


@contextmanager
def activations_with(noise: Rounding | None) -> Iterator[None]:
    """Replaces the activations of the reference's passes by ones with these errors while open."""
    right = graph.activation_forward, graph.activation_backward
    if noise is not None:
        graph.activation_forward = lambda activation, z: (activation_forward_with(noise, activation, z), z)
        graph.activation_backward = partial(activation_backward_with, noise)
    try:
        yield
    finally:
        graph.activation_forward, graph.activation_backward = right


def _flat(loss: Any, gradients: Any, tensors: Any) -> dict[str, Any]:
    """Yields every array of a pass by its place and name."""
    arrays = {f"{place} d{name}": dw for place, name, dw in named_weights(gradients)}
    for place, name, value in named_weights(tensors):
        parts = value.items() if isinstance(value, dict) else _numbered(value)
        arrays.update({f"{place} {name}{part}": array for part, array in parts})
    return {"loss": loss, **arrays}


def _numbered(value: Any) -> Any:
    """Returns each of several tensors that has a gradient, by its number; a single one without a number."""
    if not isinstance(value, tuple):
        return [("", value)]
    return [(number, tensor) for number, tensor in enumerate(value) if tensor is not None]


def _like(tensor: Any, found: dict[str, Any], place: Any) -> dict[str, Any]:
    """Returns T of each tensor of a layer's dict, nested in the same way."""
    out: dict[str, Any] = {}
    for name, value in tensor.items():
        if isinstance(value, list):
            out[name] = [_like(item, found, (*place, name, index)) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            out[name] = {weight: found[f"{place} {name}{weight}"] for weight in value}
        elif isinstance(value, tuple):
            out[name] = tuple(found.get(f"{place} {name}{number}") for number in range(len(value)))
        else:
            out[name] = found[f"{place} {name}"]
    return out
