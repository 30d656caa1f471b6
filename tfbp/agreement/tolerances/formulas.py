"""Tolerances of any right formula of an activation or a loss: its own roundings, and its input's error.

The reference alone says little about another formula's rounding. So these are not measured, but follow from the sizes
of a formula's terms. They are first order in the errors; evaluating the reference at z ± error_z covers branches and
curvature.

B batch, O outputs of a layer; z and y (B, …, O).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfbp.judging.tolerances import Units, elementwise_tolerance
from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.losses import loss_backward, loss_forward
from tfbp.reference.softmax import softmax_forward
from tfbp.vocabulary import Activation

Array = np.ndarray
_ROWWISE = ("softmax", "log_softmax")
_SOFTMAX = Activation("softmax")
_EXACT = Units(out=0.0, product_in=0.0, product=0.0, sum=0.0, loss=0.0, underflow=0.0)


def activation_forward_error(activation: Any, z: Array, units: Units, error_z: Any = 0.0) -> Array:
    unit = units.out
    y = activation_forward(activation, z)[0]
    error_z = np.broadcast_to(error_z, z.shape)
    if activation.name == "linear":
        return error_z
    if activation.name in _ROWWISE:
        p = softmax_forward(z)
        largest = np.abs(z).max(axis=-1, keepdims=True)
        # z - max is rounded before the exponential
        moved = error_z + (p * error_z).sum(axis=-1, keepdims=True) + 8 * unit * (1 + largest)
        return moved * p + 8 * units.underflow if activation.name == "softmax" else moved + 8 * unit * np.abs(y)
    if activation.name == "sparsemax":
        return _moved_from_tau(z, unit, error_z) + units.underflow
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

    if activation.name == "sparsemax":
        return _sparsemax_backward_error(dy, z, unit, error_dy, error_z) + 8 * units.underflow

    def backward(at: Array) -> Array:
        return activation_backward(activation, dy, at)

    # dy's error is multiplied by the steepest slope in reach: next to a kink z may be on the other side
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
    """Returns T of the losses: |dloss/doutputs| · error, and the roundings of a sum of O terms."""
    losses, (targets, _) = loss_forward(loss, y, outputs)
    error = np.broadcast_to(error, outputs.shape)
    slope = np.abs(loss_backward(loss, np.ones(losses.shape), (targets, outputs)))
    size = 1.0 if targets.ndim < outputs.ndim else np.abs(targets).max(axis=-1)
    largest = np.abs(outputs).max(axis=-1)
    terms = (1 + size + largest) ** 2 if "error" in loss.name or loss.name == "huber" else (1 + size) * (1 + largest)
    width = outputs.shape[-1]
    return (slope * error + width * error**2).sum(axis=-1) + 8 * unit * (width * terms + np.abs(losses))


def _moved_from_tau(z: Array, unit: float, error_z: Any = 0.0) -> Array:
    """Returns T of z - tau in sparsemax: tau is a mean of numbers within 1 of the maximum, over up to O terms."""
    largest = np.abs(z).max(axis=-1, keepdims=True)
    return error_z + np.max(error_z, axis=-1, keepdims=True) + 8 * unit * (1 + largest) * z.shape[-1]


def _sparsemax_backward_error(dy: Array, z: Array, unit: float, error_dy: Array, error_z: Array) -> Array:
    """Returns the roundings of dy - mean; where z is close to tau and either side is right, the whole row changes."""
    y = activation_forward(Activation("sparsemax"), z)[0]
    tau = (z - y).max(axis=-1, keepdims=True, where=y > 0, initial=-np.inf)
    undecided = (np.abs(z - tau) <= _moved_from_tau(z, unit, error_z)).any(axis=-1, keepdims=True)
    largest = np.abs(dy).max(axis=-1, keepdims=True)
    error = error_dy + np.max(error_dy, axis=-1, keepdims=True) + 8 * unit * largest * z.shape[-1]
    return np.where(undecided, 2 * largest + error, np.where(y > 0, error, 0))


def _spread(function: Any, z: Array, error_z: Array) -> Array:
    here = function(z)
    return np.maximum(np.abs(function(z + error_z) - here), np.abs(function(z - error_z) - here))


def _row_sum(a: Array) -> Array:
    return a.sum(axis=-1, keepdims=True)
