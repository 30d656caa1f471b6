"""Every op by itself: fed the reference's own inputs and adjoints, so that a wrong layer cannot hide behind another.

`Inputs` is one dict per layer with x, kernel, bias, dz (for the dense part) and z, dy (for the activation), and a last
dict with outputs, y and dlosses. Each function returns named tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement import running_error
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
    """The right answers, in float64."""
    dense, activations, losses = reference.dense, reference.activations, reference.losses
    out: Tensors = {}
    for i, (activation, layer) in enumerate(zip(network.activations_before_loss, inputs, strict=False)):
        out[f"layer {i} z"], residuals = dense.dense_forward(layer["x"], layer["kernel"], layer.get("bias"))
        _put(out, i, layer, dense.dense_backward(layer["dz"], residuals))
        out[f"layer {i} y"], residual = activations.activation_forward(activation, layer["z"])
        out[f"layer {i} dz"] = activations.activation_backward(activation, layer["dy"], residual)
    last = inputs[-1]
    out["loss losses"], residual = losses.loss_forward(network.loss, last["y"], last["outputs"])
    out["loss doutputs"] = losses.loss_backward(network.loss, last["dlosses"], residual)
    return out


def local_manual(network: Network, inputs: Inputs) -> Tensors:
    """Each hand-coded backward on its own."""
    dense, activations, losses = manual.dense, manual.activations, manual.losses
    out: Tensors = {}
    for i, (activation, layer) in enumerate(zip(network.activations_before_loss, inputs, strict=False)):
        out[f"layer {i} z"], residuals = dense.dense_forward(layer["x"], layer["kernel"], layer.get("bias"))
        _put(out, i, layer, dense.dense_backward(layer["dz"], residuals))
        out[f"layer {i} y"], residual = activations.activation_forward(activation, layer["z"])
        out[f"layer {i} dz"] = activations.activation_backward(activation, layer["dy"], residual)
    last = inputs[-1]
    out["loss losses"], residual = losses.loss_forward(network.loss, last["y"], last["outputs"])
    out["loss doutputs"] = losses.loss_backward(network.loss, last["dlosses"], residual)
    return out


def local_tape(network: Network, inputs: Inputs) -> Tensors:
    """The tape's gradient of each op on its own."""
    out: Tensors = {}
    for i, (activation, layer) in enumerate(zip(network.activations_before_loss, inputs, strict=False)):
        sources = [layer[name] for name in ("x", "kernel", "bias") if name in layer]
        with tf.GradientTape(watch_accessed_variables=False) as dense_tape:
            dense_tape.watch(sources)
            out[f"layer {i} z"] = tape.dense.dense_forward(*sources)
        _put(out, i, layer, dense_tape.gradient(out[f"layer {i} z"], sources, output_gradients=layer["dz"]))
        with tf.GradientTape(watch_accessed_variables=False) as activation_tape:
            activation_tape.watch(layer["z"])
            out[f"layer {i} y"] = tape.activations.activation_forward(activation, layer["z"])
        out[f"layer {i} dz"] = activation_tape.gradient(
            out[f"layer {i} y"], layer["z"], output_gradients=layer["dy"], unconnected_gradients="zero"
        )
    last = inputs[-1]
    with tf.GradientTape(watch_accessed_variables=False) as loss_tape:
        loss_tape.watch(last["outputs"])
        out["loss losses"] = tape.losses.loss_forward(network.loss, last["y"], last["outputs"])
    out["loss doutputs"] = loss_tape.gradient(out["loss losses"], last["outputs"], output_gradients=last["dlosses"])
    return out


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
    out["loss losses"] = running_error.loss_forward_error(network.loss, last["y"], last["outputs"], units.loss)
    out["loss doutputs"] = running_error.loss_backward_error(
        network.loss, last["dlosses"], last["y"], last["outputs"], units.loss
    )
    return out


def _put(out: Tensors, i: int, layer: dict[str, Any], gradients: Any) -> None:
    for name, gradient in zip(("dx", "dkernel", "dbias"), gradients, strict=False):
        if name != "dbias" or "bias" in layer:
            out[f"layer {i} {name}"] = gradient
