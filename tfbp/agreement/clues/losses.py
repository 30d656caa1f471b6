"""Clues for a loss: another loss, ignored weights or arguments, a missing term."""

from __future__ import annotations

import numpy as np

from tfbp.agreement.clues.arguments import off_default
from tfbp.judging.diagnosis import Clues
from tfbp.reference.losses import loss_backward as backward
from tfbp.reference.losses import loss_forward as forward
from tfbp.reference.smooth_activations import sigmoid_forward, softplus_forward
from tfbp.reference.softmax import softmax_forward
from tfbp.vocabulary import LOSSES, Loss

Array = np.ndarray


def loss_forward(loss: Loss, y: Array, outputs: Array) -> Clues:
    terms: dict[str, Array] = {}
    mistakes = {f"these are {n}'s values": v for n, v in _of_other_losses(loss, y, outputs).items()}
    if off_default(loss):
        plain = forward(Loss(loss.name), y, outputs)[0]
        mistakes["its arguments are ignored: these are the defaults' values"] = plain
    if loss.name == "binary_crossentropy":
        terms = {
            "softplus(outputs)": softplus_forward(outputs).mean(axis=-1),
            "-y · outputs": -(y * outputs).mean(axis=-1),
        }
    elif "categorical" in loss.name:
        target = np.eye(outputs.shape[-1])[y] if y.ndim < outputs.ndim else y
        picked = (target * outputs).sum(axis=-1)
        terms = {"-Σ y · outputs": -picked, "log Σ exp(outputs)": forward(loss, y, outputs)[0] + picked}
    return Clues(mistakes, terms, sizes={"B": len(outputs), "O": outputs.shape[-1]}, summed=outputs.shape[-1])


def loss_backward(loss: Loss, dlosses: Array, y: Array, outputs: Array) -> Clues:
    def gradient(loss: Loss, dlosses: Array, y: Array) -> Array:
        return backward(loss, dlosses, forward(loss, y, outputs)[1])

    width = outputs.shape[-1]
    mistakes = {"dlosses is left out": gradient(loss, np.ones_like(dlosses), y)}
    mistakes["weighted by the mean of dlosses"] = gradient(loss, np.full_like(dlosses, dlosses.mean()), y)
    if loss.name in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        target = np.eye(width)[y] if y.ndim < outputs.ndim else y
        p, rows = softmax_forward(outputs), dlosses[..., None]
        mistakes["targets are taken to sum to 1"] = rows * (p - target)
        mistakes["the outputs for their softmax"] = rows * (outputs * target.sum(axis=-1, keepdims=True) - target)
        terms = {"softmax": rows * p * target.sum(axis=-1, keepdims=True), "-y": -rows * target}
    elif loss.name == "binary_crossentropy":
        p, rows = sigmoid_forward(outputs), dlosses[..., None] / width
        mistakes["the outputs for their sigmoid"] = rows * (outputs - y)
        mistakes["times sigmoid' once more"] = rows * (p - y) * p * (1 - p)
        terms = {"sigmoid(outputs)": rows * p, "-y": -rows * y}
    else:
        rows = gradient(Loss("half_squared_error"), dlosses, y)
        terms = {}
        mistakes["the error itself, without its sign or clipping"] = rows / width
        if off_default(loss):
            mistakes["its arguments are ignored: these are the defaults' values"] = gradient(
                Loss(loss.name), dlosses, y
            )
    for name, theirs in _of_other_losses(loss, y, outputs, dlosses).items():
        mistakes[f"this is {name}'s gradient"] = theirs
    error = np.zeros(outputs.shape) if y.ndim < outputs.ndim else outputs - y
    regions = {"outputs > y": error > 0, "outputs < y": error < 0}
    kinks = {"outputs = y": error == 0}
    return Clues(mistakes, terms, sizes={"B": len(outputs), "O": width}, regions=regions, kinks=kinks)


def _of_other_losses(loss: Loss, y: Array, outputs: Array, dlosses: Array | None = None) -> dict[str, Array]:
    """Values, or gradients, of the losses with the same targets."""
    out = {}
    for name in LOSSES:
        if name != loss.name and name.startswith("sparse") == loss.name.startswith("sparse"):
            losses, residuals = forward(Loss(name), y, outputs)
            out[name] = losses if dlosses is None else backward(Loss(name), dlosses, residuals)
    return out
