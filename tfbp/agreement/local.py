"""Every op by itself: fed the reference's own inputs and adjoints, so that a wrong layer cannot hide behind another.

`Inputs` is one dict per layer with x, kernel, bias, dz (for the dense part) and z, dy (for the activation), and a last
dict with outputs, y and dlosses. Each function returns named tensors.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement import running_error
from tfbp.checking.failures import Failure, attempt
from tfbp.checking.tolerances import Units
from tfbp.network import Network

Inputs = list[dict[str, Any]]
Tensors = dict[str, Any]


def inputs_from(tensors: Any, parameters: Any, y: Any) -> Inputs:
    """What each op is fed, from the reference's tensors."""
    layers = [
        {**weights, **{name: tensor[name] for name in ("x", "z", "dz", "dy")}}
        for tensor, weights in zip(tensors, parameters, strict=False)
    ]
    return [*layers, {"outputs": tensors[-1]["outputs"], "dlosses": tensors[-1]["dlosses"], "y": y}]


def local_reference(network: Network, inputs: Inputs) -> Tensors:
    """The right answers, in float64, from the forward pass to the backward pass: the order in which they are judged."""
    dense, activations, losses = reference.dense, reference.activations, reference.losses
    layers = list(enumerate(zip(network.activations_before_loss, inputs, strict=False)))
    last, out = inputs[-1], {}
    for i, (activation, layer) in layers:
        out[f"layer {i} z"] = dense.dense_forward(layer["x"], layer["kernel"], layer.get("bias"))[0]
        out[f"layer {i} y"] = activations.activation_forward(activation, layer["z"])[0]
    out["losses"], residual = losses.loss_forward(network.loss, last["y"], last["outputs"])
    out["doutputs"] = losses.loss_backward(network.loss, last["dlosses"], residual)
    for i, (activation, layer) in reversed(layers):
        residual = activations.activation_forward(activation, layer["z"])[1]
        out[f"layer {i} dz"] = activations.activation_backward(activation, layer["dy"], residual)
        _put(out, i, layer, dense.dense_backward(layer["dz"], (layer["x"], layer["kernel"])))
    return out


def local_manual(network: Network, inputs: Inputs) -> Tensors:
    """Each hand-coded backward on its own; a `Failure` in the place of what raised."""
    dense, activations, losses = manual.dense, manual.activations, manual.losses
    last, out = inputs[-1], {}
    for i, (activation, layer) in enumerate(zip(network.activations_before_loss, inputs, strict=False)):
        forward = attempt(dense.dense_forward, layer["x"], layer["kernel"], layer.get("bias"))
        out[f"layer {i} z"], residuals = _pair(forward)
        _put(out, i, layer, _attempt_with(residuals, lambda kept, layer=layer: dense.dense_backward(layer["dz"], kept)))
        forward = attempt(activations.activation_forward, activation, layer["z"])
        out[f"layer {i} y"], residuals = _pair(forward)
        out[f"layer {i} dz"] = _attempt_with(
            residuals,
            lambda kept, activation=activation, layer=layer: activations.activation_backward(
                activation, layer["dy"], kept
            ),
        )
    forward = attempt(losses.loss_forward, network.loss, last["y"], last["outputs"])
    out["losses"], residuals = _pair(forward)
    out["doutputs"] = _attempt_with(residuals, lambda kept: losses.loss_backward(network.loss, last["dlosses"], kept))
    return out


def local_tape(network: Network, inputs: Inputs) -> Tensors:
    """The tape's gradient of each op on its own; a `Failure` in the place of what raised."""
    last, out = inputs[-1], {}
    for i, (activation, layer) in enumerate(zip(network.activations_before_loss, inputs, strict=False)):
        sources = [layer[name] for name in ("x", "kernel", "bias") if name in layer]
        out[f"layer {i} z"], gradients = _differentiate(tape.dense.dense_forward, sources, layer["dz"])
        _put(out, i, layer, gradients)
        out[f"layer {i} y"], gradients = _differentiate(
            lambda z, activation=activation: tape.activations.activation_forward(activation, z),
            [layer["z"]],
            layer["dy"],
        )
        out[f"layer {i} dz"] = gradients if isinstance(gradients, Failure) else gradients[0]
    out["losses"], gradients = _differentiate(
        lambda outputs: tape.losses.loss_forward(network.loss, last["y"], outputs), [last["outputs"]], last["dlosses"]
    )
    out["doutputs"] = gradients if isinstance(gradients, Failure) else gradients[0]
    return out


def _differentiate(function: Any, sources: list[Any], upstream: Any) -> tuple[Any, Any]:
    """function(*sources) and its gradients by tape, zeros where it does not depend on a source."""
    with tf.GradientTape(watch_accessed_variables=False) as record:
        record.watch(sources)
        value = attempt(function, *sources)
    if isinstance(value, Failure):
        return value, value
    return value, attempt(record.gradient, value, sources, output_gradients=upstream, unconnected_gradients="zero")


def _pair(forward: Any) -> tuple[Any, Any]:
    """The value and the residuals of a forward, or its `Failure` for both."""
    pair = forward if isinstance(forward, Failure) else attempt(lambda: operator.itemgetter(0, 1)(forward))
    return (pair, pair) if isinstance(pair, Failure) else pair


def _attempt_with(residuals: Any, backward: Any) -> Any:
    return residuals if isinstance(residuals, Failure) else attempt(backward, residuals)


def local_tolerances(network: Network, inputs: Inputs, units: Units) -> dict[str, np.ndarray]:
    """T of every tensor that the functions above return."""
    out: dict[str, np.ndarray] = {}
    for i, (activation, layer) in enumerate(zip(network.activations_before_loss, inputs, strict=False)):
        out[f"layer {i} z"] = running_error.dense_forward_error(layer["x"], layer["kernel"], layer.get("bias"), units)
        errors = running_error.dense_backward_error(layer["dz"], layer["x"], layer["kernel"], units)
        out.update({f"layer {i} {name}": error for name, error in errors.items()})
        out[f"layer {i} y"] = running_error.activation_forward_error(activation, layer["z"], units)
        out[f"layer {i} dz"] = running_error.activation_backward_error(activation, layer["dy"], layer["z"], units)
    last = inputs[-1]
    out["losses"] = running_error.loss_forward_error(network.loss, last["y"], last["outputs"], units.loss)
    out["doutputs"] = running_error.loss_backward_error(
        network.loss, last["dlosses"], last["y"], last["outputs"], units.loss
    )
    return out


def _put(out: Tensors, i: int, layer: dict[str, Any], gradients: Any) -> None:
    names = [name for name in ("dkernel", "dbias", "dx") if name != "dbias" or "bias" in layer]
    if isinstance(gradients, Failure):
        # the line that raised may say whose it is; the others were not reached, and nothing is said of them
        assigned = [name for name in names if gradients.line.startswith(f"{name} =")]
        out.update({f"layer {i} {name}": gradients for name in assigned or names})
        return
    found = attempt(lambda: dict(zip(("dx", "dkernel", "dbias"), gradients, strict=False)))
    out.update({f"layer {i} {name}": found if isinstance(found, Failure) else found.get(name) for name in names})
