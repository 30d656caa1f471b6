"""What a whole pass may be wrong by, tensor by tensor: by analysis where there is one, else as measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfbp.agreement.problems import Problem
from tfbp.agreement.tolerances import monte_carlo, running_error
from tfbp.agreement.tolerances.monte_carlo import Rounding, plain
from tfbp.agreement.tolerances.running_error import (
    errors_along_the_pass,
    is_analysed,
    loss_backward_error,
    loss_forward_error,
    of_each_loss,
)
from tfbp.judging.tolerances import Units
from tfbp.network import Network, at, map_weights, named_weights
from tfbp.reference import chain
from tfbp.reference.losses import loss_backward, loss_forward
from tfbp.reference.regularizers import penalty_backward, penalty_forward
from tfbp.reference.tied import tied_backward, tied_forward

Errors = tuple[Any, Any, Any]


def errors_of_the_pass(network: Network, numbers: Problem, tensors: Any, units: Units, options: Any) -> Errors:
    """T of the loss, the gradients and the tensors on the way, each as the reference returns them."""
    if is_analysed(network):
        return errors_along_the_pass(network, numbers.parameters, tensors, numbers.y, numbers.sample_weight, units)
    return measured_errors(network, numbers, units, options)


def measured_errors(network: Network, numbers: Problem, units: Units, options: Any) -> Errors:
    """As `errors_of_the_pass`, by Monte Carlo arithmetic."""
    exact = _flat(*_pass(network, numbers, None, options))
    found = monte_carlo.sensitivity(lambda noise: _flat(*_pass(network, numbers, noise, options)), exact, units)
    _, gradients, tensors = _pass(network, numbers, None, options)
    gradients = map_weights(lambda _: None, gradients)
    for place, name, _ in list(named_weights(gradients)):
        at(gradients, place)[name] = found[f"{place} d{name}"]
    along = [_like(tensor, found, (index,)) for index, tensor in enumerate(tensors)]
    return found["loss"], gradients, along


def _pass(network: Network, numbers: Problem, noise: Rounding | None, options: Any) -> Errors:
    """`reference.loss_gradients_and_tensors` on arrays whose operations have errors; the loss, which is computed in
    float32 or wider, has those that its analysis knows."""
    training, seed = options.get("training", True), options.get("seed")
    on = (lambda array: array) if noise is None else noise.on
    parameters, weight = map_weights(on, numbers.parameters), of_each_loss(network, numbers.sample_weight)
    layers = network.layers_before_loss
    with _activations_with(noise):
        outputs, tensors, residuals = chain.chain_forward(
            layers,
            tied_forward(network, parameters),
            on(numbers.x),
            training=training,
            seed=None if seed is None else (seed, 0),
        )
    outputs = plain(outputs)
    losses, kept = loss_forward(network.loss, numbers.y, outputs)
    dlosses = weight / weight.size
    doutputs = loss_backward(network.loss, dlosses, kept)
    if noise is not None:
        unit = noise.units.loss
        losses = noise.moved(losses, loss_forward_error(network.loss, numbers.y, outputs, unit))
        doutputs = noise.moved(doutputs, loss_backward_error(network.loss, dlosses, numbers.y, outputs, unit))
        dlosses = noise.moved(dlosses, 8 * unit * np.abs(dlosses))
        # given back in the narrower type
        doutputs = plain(noise.of_operation(doutputs))
    with _activations_with(noise):
        _, gradients = chain.chain_backward(layers, tensors, residuals, on(doutputs))
    gradients = tied_backward(network, gradients)
    loss = (weight * losses).mean()
    if noise is not None:
        loss = noise.moved(loss, 8 * unit * (weight * np.abs(losses)).mean())
    for place, name, regularizer in network.penalties:
        w, layer = at(parameters, place)[name], at(gradients, place)
        layer[name] = layer[name] + penalty_backward(regularizer, w)
        loss = loss + penalty_forward(regularizer, w)[0]
    return loss, gradients, [*tensors, {"outputs": outputs, "losses": losses, "dlosses": dlosses, "doutputs": doutputs}]


@contextmanager
def _activations_with(noise: Rounding | None) -> Iterator[None]:
    """While it lasts, the reference's chain has activations that are wrong by what their own analysis allows.

    That is for all formulas of one function; the reference's alone says little of another's rounding.
    """
    right = chain.activation_forward, chain.activation_backward
    if noise is None:
        yield
        return

    def forward(activation: Any, z: Any) -> Any:
        error = running_error.activation_forward_error(activation, plain(z), noise.units)
        return noise.on(noise.moved(right[0](activation, plain(z))[0], error)), z

    def backward(activation: Any, dy: Any, z: Any) -> Any:
        error = running_error.activation_backward_error(activation, plain(dy), plain(z), noise.units)
        return noise.on(noise.moved(right[1](activation, plain(dy), plain(z)), error))

    chain.activation_forward, chain.activation_backward = forward, backward
    try:
        yield
    finally:
        chain.activation_forward, chain.activation_backward = right


def _flat(loss: Any, gradients: Any, tensors: Any) -> dict[str, Any]:
    found = {f"{place} d{name}": dw for place, name, dw in named_weights(gradients)}
    for place, name, value in named_weights(tensors):
        if isinstance(value, dict):
            found.update({f"{place} {name} {weight}": w for weight, w in value.items()})
        else:
            found[f"{place} {name}"] = value
    return {"loss": loss, **found}


def _like(tensor: Any, found: dict[str, Any], place: Any) -> dict[str, Any]:
    """T of each tensor of a layer's dict, nested as that."""
    out: dict[str, Any] = {}
    for name, value in tensor.items():
        if isinstance(value, list):
            out[name] = [_like(each, found, (*place, name, index)) for index, each in enumerate(value)]
        elif isinstance(value, dict):
            out[name] = {weight: found[f"{place} {name} {weight}"] for weight in value}
        else:
            out[name] = found[f"{place} {name}"]
    return out
