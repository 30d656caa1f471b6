"""Runs every layer by itself on the reference's inputs and adjoints, so that the wrong layer names itself.

`Inputs` is one dict for each of the network's nodes, with weights, x, dz (for the layer) and z, dy (for the activation
that the chain applies to its z), and a last dict with outputs, y and dlosses. Each function returns named tensors. It
calls a layer by the same two functions as the chain; a layer with parts comes as a whole, after its parts.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement.tolerances import formulas, monte_carlo
from tfbp.agreement.tolerances.monte_carlo import Rounding
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import Units
from tfbp.network import Network, Node, at, is_part, map_weights
from tfbp.reference.tied import tied_forward
from tfbp.vocabulary import Activation

Inputs = list[dict[str, Any]]
Tensors = dict[str, Any]
# the seed of layers that draw
SEED = 2026


def inputs_from(network: Network, tensors: Any, parameters: Any, y: Any) -> Inputs:
    """Returns each layer's inputs, from the reference's tensors; with the kernel of a tied last layer."""
    parameters = tied_forward(network, parameters)
    layers = [
        {
            "weights": at(parameters, node.place),
            **{name: at(tensors, node.at)[name] for name in ("x", "z", "dz", "dy")},
        }
        for node in network.nodes
    ]
    return [*layers, {"outputs": tensors[-1]["outputs"], "dlosses": tensors[-1]["dlosses"], "y": y}]


def local_reference(network: Network, inputs: Inputs, training: bool = True) -> Tensors:
    """Returns the right answers, in float64, in the order of judgment: the forward pass, then the backward pass."""
    activations, losses = reference.activations, reference.losses
    last, forwards, backwards = inputs[-1], {}, []
    for node, activation, fed in _each(network, inputs):
        tensors = by_reference(node, fed, training)
        put = f"layer {node.name}"
        forwards[f"{put} z"] = tensors.pop("z")
        forwards.update({f"{put} {name}": tensors.pop(name) for name in list(tensors) if name.startswith("new ")})
        y, residual = activations.activation_forward(activation, fed["z"])
        dz = activations.activation_backward(activation, fed["dy"], residual)
        forwards[f"{put} y"] = y
        backwards.append((node, {f"{put} {name}": value for name, value in {"dz": dz, **tensors}.items()}))
    out = dict(forwards)
    for put, loss, of_loss in _each_loss(network, last):
        out[f"losses{put}"], residual = losses.loss_forward(loss, of_loss["y"], of_loss["outputs"])
        out[f"doutputs{put}"] = losses.loss_backward(loss, of_loss["dlosses"], residual)
    # a layer with parts comes after all others: if a part is wrong, the layer is wrong too
    for _, tensors in [pair for pair in reversed(backwards) if not pair[0].layer.parts]:
        out.update(tensors)
    for _, tensors in [pair for pair in backwards if pair[0].layer.parts]:
        out.update(tensors)
    return out


def by_reference(node: Node, fed: Any, training: bool) -> Tensors:
    """Returns z, dx, the gradients and the new weights of a single layer."""
    forward, backward = reference.kinds.kind_of(node.layer)
    z, residuals, new = forward(node.layer, fed["weights"], fed["x"], **_options(node, training))
    if z.shape != fed["dz"].shape:
        return {"z": z}  # dz is of a layer with other arguments
    dx, gradients = backward(node.layer, fed["dz"], residuals)
    own = {} if node.layer.parts else {f"d{name}": dw for name, dw in gradients.items()}
    return {"z": z, **{f"new {name}": w for name, w in new.items()}, **own, **_of_inputs(node, dx)}


def _of_inputs(node: Node, dx: Any) -> Tensors:
    """Returns dx by name: dx0, dx1, … for a layer that takes several tensors; nothing for tokens and masks."""
    if node.layer.takes_several:
        return {f"dx{number}": gradient for number, gradient in enumerate(dx) if gradient is not None}
    return {} if dx is None else {"dx": dx}


def _each_loss(network: Network, last: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yields (suffix of its tensors' names, the loss, its tensors) of every loss."""
    if len(network.losses) == 1:
        yield "", network.losses[0], last
        return
    for number, loss in enumerate(network.losses):
        yield f" {number}", loss, {name: value[number] for name, value in last.items()}


def local_manual(network: Network, inputs: Inputs, training: bool = True) -> Tensors:
    """Returns the results of each hand-coded backward; a `Failure` in place of an exception."""
    activations, losses = manual.activations, manual.losses
    last, out = inputs[-1], {}
    for node, activation, fed in _each(network, inputs):
        put, (function, backward) = f"layer {node.name}", manual.kinds.kind_of(node.layer)
        forward = attempt(function, node.layer, fed["weights"], fed["x"], **_options(node, training))
        out[f"{put} z"], residuals = _pair(forward)
        _put_new(out, node, residuals if isinstance(residuals, Failure) else attempt(operator.itemgetter(2), forward))
        _put(
            out,
            node,
            fed["weights"],
            _attempt_with(residuals, partial(backward, node.layer, fed["dz"])),
        )
        forward = attempt(activations.activation_forward, activation, fed["z"])
        out[f"{put} y"], residuals = _pair(forward)
        out[f"{put} dz"] = _attempt_with(
            residuals,
            lambda kept, activation=activation, fed=fed: activations.activation_backward(activation, fed["dy"], kept),
        )
    for put, loss, of_loss in _each_loss(network, last):
        forward = attempt(losses.loss_forward, loss, of_loss["y"], of_loss["outputs"])
        out[f"losses{put}"], residuals = _pair(forward)
        out[f"doutputs{put}"] = _attempt_with(residuals, partial(losses.loss_backward, loss, of_loss["dlosses"]))
    return out


def local_tape(network: Network, inputs: Inputs, training: bool = True) -> Tensors:
    """Returns the tape's gradients of each layer; a `Failure` in place of an exception."""
    last, out = inputs[-1], {}
    for node, activation, fed in _each(network, inputs):
        put, function = f"layer {node.name}", tape.kinds.kind_of(node.layer)
        new: Tensors = {}
        names = [] if node.layer.parts else [n for n in fed["weights"] if n not in node.layer.without_gradient]

        several = node.layer.takes_several
        count = len(node.takes) if several else 1

        def forward(
            *given: Any, node: Node = node, function: Any = function, fed: Any = fed, names: Any = names, n: int = count
        ) -> Any:
            x = given[:n] if node.layer.takes_several else given[0]
            weights = {**fed["weights"], **dict(zip(names, given[n:], strict=True))}
            z, others = function(node.layer, weights, x, **_options(node, training))
            new.update({} if node.layer.parts else others)  # noqa: B023
            return z

        sources = [*(fed["x"] if several else [fed["x"]]), *(fed["weights"][name] for name in names)]
        # tokens have no gradient
        is_token = not several and not fed["x"].dtype.is_floating
        if is_token:
            forward, sources = partial(forward, fed["x"]), sources[1:]
        out[f"{put} z"], gradients = _differentiate(forward, sources, fed["dz"])
        _put_new(out, node, out[f"{put} z"] if isinstance(out[f"{put} z"], Failure) else new)
        if not isinstance(gradients, Failure):
            gradients = [None, *gradients] if is_token else gradients
            dx = tuple(gradients[:count]) if several else gradients[0]
            gradients = dx, dict(zip(names, gradients[count:], strict=True))
        _put(out, node, fed["weights"], gradients)
        out[f"{put} y"], gradients = _differentiate(
            lambda z, activation=activation: tape.activations.activation_forward(activation, z), [fed["z"]], fed["dy"]
        )
        out[f"{put} dz"] = gradients if isinstance(gradients, Failure) else gradients[0]
    for put, loss, of_loss in _each_loss(network, last):
        function = partial(tape.losses.loss_forward, loss, of_loss["y"])
        out[f"losses{put}"], gradients = _differentiate(function, [of_loss["outputs"]], of_loss["dlosses"])
        out[f"doutputs{put}"] = gradients if isinstance(gradients, Failure) else gradients[0]
    return out


def local_tolerances(network: Network, inputs: Inputs, units: Units, training: bool = True) -> dict[str, np.ndarray]:
    """Returns T of every tensor of the functions above."""
    out: dict[str, np.ndarray] = {}
    for node, activation, fed in _each(network, inputs):
        put = f"layer {node.name}"
        out.update({f"{put} {name}": error for name, error in measured_tolerances(node, fed, units, training).items()})
        out[f"{put} y"] = formulas.activation_forward_error(activation, fed["z"], units)
        out[f"{put} dz"] = formulas.activation_backward_error(activation, fed["dy"], fed["z"], units)
    for put, loss, last in _each_loss(network, inputs[-1]):
        y, outputs = last["y"], last["outputs"]
        out[f"losses{put}"] = formulas.loss_forward_error(loss, y, outputs, units.loss)
        out[f"doutputs{put}"] = formulas.loss_backward_error(loss, last["dlosses"], y, outputs, units.loss)
    return out


def measured_tolerances(node: Node, fed: Any, units: Units, training: bool = True) -> dict[str, np.ndarray]:
    """Returns T of the same tensors, by Monte Carlo arithmetic."""

    def run(noise: Rounding) -> Tensors:
        noisy = {
            "weights": map_weights(noise.on, [fed["weights"]])[0],
            "x": tuple(map(noise.on, fed["x"])) if node.layer.takes_several else noise.on(fed["x"]),
            "dz": noise.on(fed["dz"]),
        }
        return by_reference(node, noisy, training)

    return monte_carlo.sensitivity(run, by_reference(node, fed, training), units)


def _each(network: Network, inputs: Inputs) -> Iterator[tuple[Node, Activation, Any]]:
    for node, fed in zip(network.nodes, inputs, strict=False):
        yield node, network.activation_before_loss(node), fed


def _options(node: Node, training: bool) -> dict[str, Any]:
    return {"training": training, "seed": (SEED, node.draws_before)}


def _differentiate(function: Any, sources: list[Any], upstream: Any) -> tuple[Any, Any]:
    """Returns function(*sources) and its gradients by tape, zeros where it does not depend on a source."""
    with tf.GradientTape(watch_accessed_variables=False) as record:
        record.watch(sources)
        value = attempt(function, *sources)
    if isinstance(value, Failure):
        return value, value
    return value, attempt(record.gradient, value, sources, output_gradients=upstream, unconnected_gradients="zero")


def _pair(forward: Any) -> tuple[Any, Any]:
    """Returns the value and the residuals of a forward, or its `Failure` for both."""
    pair = forward if isinstance(forward, Failure) else attempt(lambda: operator.itemgetter(0, 1)(forward))
    return (pair, pair) if isinstance(pair, Failure) else pair


def _attempt_with(residuals: Any, backward: Any) -> Any:
    return residuals if isinstance(residuals, Failure) else attempt(backward, residuals)


def _put_new(out: Tensors, node: Node, new: Any) -> None:
    for name in node.layer.without_gradient:
        if isinstance(new, Failure):
            out[f"layer {node.name} new {name}"] = new
        elif name in new:
            out[f"layer {node.name} new {name}"] = new[name]


def _put(out: Tensors, node: Node, weights: Any, gradients: Any) -> None:
    own = () if node.layer.parts else weights
    of_inputs = [f"dx{number}" for number in range(len(node.takes))] if node.layer.takes_several else ["dx"]
    names = [*(f"d{name}" for name in own if name not in node.layer.without_gradient), *of_inputs]
    if isinstance(gradients, Failure):
        # the line that raised may name the layer; the layers after it have no result
        assigned = [name for name in names if gradients.line.startswith(f"{name} =")]
        out.update({f"layer {node.name} {name}": gradients for name in assigned or names})
        return

    def named() -> Mapping[str, Any]:
        dx, dweights = gradients
        named = {f"d{name}": dw for name, dw in dweights.items() if not is_part(dw)}
        return {**(_of_inputs(node, dx) if node.layer.takes_several else {"dx": dx}), **named}

    results = attempt(named)
    out.update({f"layer {node.name} {n}": results if isinstance(results, Failure) else results.get(n) for n in names})
