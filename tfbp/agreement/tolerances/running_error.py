"""Tolerances of whole passes: each line's own rounding, and its inputs' errors carried through the line.

`error_*` is the bound of the value of that name. Without input errors they are the local tolerances of one op.
First order in the errors; branches and curvature are seen by evaluating the reference at z ± error_z.
It is written for a dense layer, an activation, and layers that move numbers and change none; what a network of other
layers may be wrong by is measured (`monte_carlo`).

B batch, I inputs, O outputs of a layer; x (B, …, I), z and y (B, …, O).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfbp.judging.tolerances import Units, elementwise_tolerance, product_tolerance, sum_tolerance
from tfbp.network import ActivationLayer, Dense, Flatten, Layer, LinearCrossEntropy, Network, Reshape
from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.losses import loss_backward, loss_forward
from tfbp.reference.regularizers import penalty_backward, penalty_forward
from tfbp.reference.softmax import softmax_forward
from tfbp.vocabulary import Activation

Array = np.ndarray
_DENSE = (Dense, LinearCrossEntropy)
_MOVES = (ActivationLayer, Flatten, Reshape)
_ROWWISE = ("softmax", "log_softmax")
_SOFTMAX = Activation("softmax")
_EXACT = Units(out=0.0, product_in=0.0, product=0.0, sum=0.0, loss=0.0, underflow=0.0)


def dense_forward_error(x: Array, kernel: Array, bias: Array | None, units: Units, error_x: Any = 0.0) -> Array:
    error = np.broadcast_to(error_x, x.shape) @ np.abs(kernel) + product_tolerance(x, kernel, units)
    if bias is not None:
        # the product is stored, rounded, before the bias is added
        error = error + 2 * units.out * (np.abs(x @ kernel) + np.abs(bias))
    return error


def dense_backward_error(
    dz: Array, x: Array, kernel: Array, units: Units, error_dz: Any = 0.0, error_x: Any = 0.0
) -> dict[str, Array]:
    shape, rows = x.shape, lambda a: np.reshape(a, (-1, a.shape[-1]))
    error_dz, error_x = rows(np.broadcast_to(error_dz, dz.shape)), rows(np.broadcast_to(error_x, shape))
    dz, x = rows(dz), rows(x)
    return {
        "dx": (error_dz @ np.abs(kernel).T + product_tolerance(dz, kernel.T, units)).reshape(shape),
        "dkernel": (np.abs(x) + error_x).T @ error_dz + error_x.T @ np.abs(dz) + product_tolerance(x.T, dz, units),
        "dbias": error_dz.sum(axis=0) + sum_tolerance(dz, units),
    }


def is_analysed(network: Network) -> bool:
    """Whether `errors_along_the_pass` knows every layer of the network."""
    return network.is_chain and all(isinstance(layer, _DENSE + _MOVES) for layer in network.layers)


def layer_errors(layer: Layer, weights: Any, x: Array, dz: Array, units: Units) -> dict[str, Array] | None:
    """T of z, of dx and of each gradient of a layer by itself; None if there is no analysis."""
    if isinstance(layer, _MOVES):
        return {"z": np.zeros(dz.shape), "dx": np.zeros(x.shape)}
    if not isinstance(layer, _DENSE):
        return None
    errors = dense_backward_error(dz, x, weights["kernel"], units)
    return {"z": dense_forward_error(x, weights["kernel"], weights.get("bias"), units), **errors}


def activation_forward_error(activation: Any, z: Array, units: Units, error_z: Any = 0.0) -> Array:
    unit = units.out
    y = activation_forward(activation, z)[0]
    error_z = np.broadcast_to(error_z, z.shape)
    if activation.name == "linear":
        return error_z
    if activation.name in _ROWWISE:
        p = softmax_forward(z)
        largest = np.abs(z).max(axis=-1, keepdims=True)
        # z - max is rounded before it is exponentiated
        moved = error_z + (p * error_z).sum(axis=-1, keepdims=True) + 8 * unit * (1 + largest)
        return moved * p + 8 * units.underflow if activation.name == "softmax" else moved + 8 * unit * np.abs(y)
    carried = _spread(lambda at: activation_forward(activation, at)[0], z, error_z)
    return carried + elementwise_tolerance(
        lambda at: activation_forward(activation, at)[0], z, 1.0, unit, units.underflow
    )


def activation_backward_error(
    activation: Any, dy: Array, z: Array, units: Units, error_dy: Any = 0.0, error_z: Any = 0.0
) -> Array:
    unit = units.out
    error_dy, error_z = np.broadcast_to(error_dy, dy.shape), np.broadcast_to(error_z, z.shape)
    if activation.name == "linear":
        return error_dy
    if activation.name in _ROWWISE:
        p = softmax_forward(z)
        error_p = activation_forward_error(_SOFTMAX, z, units, error_z)
        sums = _row_sum(p * error_dy + error_p * np.abs(dy) + 8 * unit * p * np.abs(dy))
        if activation.name == "softmax":
            centred = np.abs(dy - _row_sum(dy * p))
            return error_p * centred + p * (error_dy + sums + 8 * unit * (np.abs(dy) + centred)) + 8 * units.underflow
        total = np.abs(dy).sum(axis=-1, keepdims=True)
        return (
            error_dy
            + p * _row_sum(error_dy)
            + (error_p + 8 * unit * p) * total
            + 8 * (unit * np.abs(dy) + units.underflow)
        )

    def backward(at: Array) -> Array:
        return activation_backward(activation, dy, at)

    # dy's error goes through the steepest slope in reach: beside a kink z may be on the other side
    slopes = [np.abs(activation_backward(activation, error_dy, at)) for at in (z, z + error_z, z - error_z)]
    carried = _spread(backward, z, error_z) + np.maximum.reduce(slopes)
    return carried + elementwise_tolerance(backward, z, dy, unit, units.underflow)


def loss_backward_error(loss: Any, dlosses: Array, y: Array, outputs: Array, unit: float, error: Any = 0.0) -> Array:
    targets = loss_forward(loss, y, outputs)[1][0]
    error = np.broadcast_to(error, outputs.shape)
    if "categorical" in loss.name:
        softmax_error = activation_forward_error(_SOFTMAX, outputs, replace(_EXACT, out=unit), error)
        one_hot = np.eye(outputs.shape[-1])[targets] if targets.ndim < outputs.ndim else targets
        return np.abs(dlosses)[..., None] * (
            softmax_error * _row_sum(one_hot) + 8 * unit * (one_hot + _row_sum(one_hot))
        )

    def backward(at: Array) -> Array:
        return loss_backward(loss, dlosses, (targets, at))

    scale = np.abs(dlosses)[..., None] * (1 + np.abs(targets))
    return _spread(backward, outputs, error) + elementwise_tolerance(backward, outputs, scale, unit)


def loss_forward_error(loss: Any, y: Array, outputs: Array, unit: float, error: Any = 0.0) -> Array:
    """Of the losses of samples or tokens: |dloss/doutputs| · error, and the roundings of a sum of O terms."""
    losses, (targets, _) = loss_forward(loss, y, outputs)
    error = np.broadcast_to(error, outputs.shape)
    slope = np.abs(loss_backward(loss, np.ones(losses.shape), (targets, outputs)))
    size = 1.0 if targets.ndim < outputs.ndim else np.abs(targets).max(axis=-1)
    largest = np.abs(outputs).max(axis=-1)
    terms = (1 + size + largest) ** 2 if "error" in loss.name or loss.name == "huber" else (1 + size) * (1 + largest)
    width = outputs.shape[-1]
    return (slope * error + width * error**2).sum(axis=-1) + 8 * unit * (width * terms + np.abs(losses))


def end_to_end_errors(
    network: Any, parameters: Any, tensors: Any, y: Array, sample_weight: Array | None, units: Units
) -> tuple[float, list[dict[str, Array]]]:
    """Tolerances of the loss and of every gradient, beside the reference's own tensors."""
    error_loss, gradients, _ = errors_along_the_pass(network, parameters, tensors, y, sample_weight, units)
    return error_loss, gradients


def errors_along_the_pass(
    network: Any, parameters: Any, tensors: Any, y: Array, sample_weight: Array | None, units: Units
) -> tuple[float, list[dict[str, Array]], list[dict[str, Array]]]:
    """As `end_to_end_errors`, and the error of every tensor on the way: one dict per layer with x, z, y, dy and dz, and
    a last dict for the loss with outputs, losses, dlosses and doutputs."""
    activations = [layer.applied_activation for layer in network.layers_before_loss]
    *layers, last = tensors
    error_y: Any = 0.0
    along: list[dict[str, Array]] = []
    for layer, activation, weights, tensor in zip(network.layers, activations, parameters, layers, strict=True):
        along.append({"x": np.broadcast_to(error_y, tensor["x"].shape)})
        if isinstance(layer, _DENSE):
            error_z = dense_forward_error(tensor["x"], weights["kernel"], weights.get("bias"), units, error_y)
        else:
            error_z = along[-1]["x"].reshape(tensor["z"].shape)
        error_y = activation_forward_error(activation, tensor["z"], units, error_z)
        along[-1].update(z=error_z, y=error_y)
    error_losses = loss_forward_error(network.loss, y, last["outputs"], units.loss, error_y)
    weight = 1.0 if sample_weight is None else np.abs(of_each_loss(network, sample_weight))
    error_loss = (weight * (error_losses + 8 * units.loss * np.abs(last["losses"]))).mean()

    error_dlosses = 8 * units.loss * np.abs(last["dlosses"])
    error_doutputs = loss_backward_error(network.loss, last["dlosses"], y, last["outputs"], units.loss, error_y)
    along.append({"outputs": error_y, "losses": error_losses, "dlosses": error_dlosses, "doutputs": error_doutputs})
    error_dy = error_doutputs + units.out * np.abs(last["doutputs"]) + units.underflow
    gradients: list[dict[str, Array]] = [{} for _ in layers]
    for index in reversed(range(len(layers))):
        tensor, weights, layer = layers[index], parameters[index], network.layers[index]
        error_dz = activation_backward_error(
            activations[index], tensor["dy"], tensor["z"], units, error_dy, along[index]["z"]
        )
        along[index].update(dy=error_dy, dz=error_dz)
        if not isinstance(layer, _DENSE):
            error_dy = error_dz.reshape(tensor["x"].shape)
            continue
        errors = dense_backward_error(tensor["dz"], tensor["x"], weights["kernel"], units, error_dz, along[index]["x"])
        error_dy = errors["dx"]
        for name in weights:
            gradients[index][name] = errors[f"d{name}"]
            regularizer = getattr(layer, f"{name}_regularizer")
            if regularizer is not None:
                w = weights[name]
                gradients[index][name] = errors[f"d{name}"] + 8 * units.out * np.abs(penalty_backward(regularizer, w))
                error_loss += 8 * units.loss * w.size**0.5 * float(penalty_forward(regularizer, w)[0])
    return float(error_loss), gradients, along


def of_each_loss(network: Any, sample_weight: Array, output: int = 0) -> Array:
    """An example's weight, (B,), for each of its tokens, (B, …), where these have losses of their own."""
    shape = (len(sample_weight), *network.output_shapes[output][:-1])
    return np.broadcast_to(sample_weight.reshape(sample_weight.shape + (1,) * (len(shape) - sample_weight.ndim)), shape)


def _spread(function: Any, z: Array, error_z: Array) -> Array:
    here = function(z)
    return np.maximum(np.abs(function(z + error_z) - here), np.abs(function(z - error_z) - here))


def _row_sum(a: Array) -> Array:
    return a.sum(axis=-1, keepdims=True)
