"""Clues of normalizations: mistakes in their constants, and the parts of dx that go through mean and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.judging.diagnosis import Clues
from tfbp.network import Node

Array = np.ndarray
Named = dict[str, Any]
_KINDS = ("BatchNormalization", "LayerNormalization", "RMSNormalization", "GroupNormalization")


def of_statistics(node: Node, fed: Named, right: Named, name: str) -> Clues:
    """Clues for a tensor of a normalization; none for another kind."""
    if node.layer.keras_name not in _KINDS or node.layer.takes_several:
        return Clues()
    if "moving_mean" in fed["weights"] and not any(other.startswith("new ") for other in right):
        return _of_constants(node, fed, right, name)
    mean, count = _mean_of(node.layer, fed["x"])
    x, epsilon = fed["x"], node.layer.arguments()["epsilon"]
    centred = x if node.layer.keras_name == "RMSNormalization" else x - mean(x)
    variance = mean(centred**2)
    if name == "dx":
        inverse, weights = 1 / np.sqrt(variance + epsilon), fed["weights"]
        dn, normalized = fed["dz"] * weights.get("gamma", weights.get("scale", 1.0)), centred * inverse
        terms = {} if centred is x else {"through the mean": -inverse * mean(dn)}
        terms["through the variance"] = -inverse * normalized * mean(dn * normalized)
        through = sum(terms.values())
        terms |= {"through mean and variance": through} if len(terms) > 1 else {}
        fewer = {"what goes through mean and variance is divided by N - 1": right[name] + through / max(count - 1, 1)}
        return Clues(fewer, terms, {"1 / σ": inverse})
    # its variance divided by N - 1
    larger, said = variance * count / max(count - 1, 1), "the variance is divided by N - 1, in place of N"
    if name == "z":
        beta = fed["weights"].get("beta", 0.0)
        return Clues({said: beta + (right["z"] - beta) * np.sqrt((variance + epsilon) / (larger + epsilon))})
    if name == "new moving_variance":
        more = (1 - node.layer.arguments()["momentum"]) * (larger - variance)
        return Clues({said: right[name] + more.reshape(-1, x.shape[-1])[0]})
    return Clues()


def _of_constants(node: Node, fed: Named, right: Named, name: str) -> Clues:
    """The shift is subtracted from x unscaled, or added."""
    weights = fed["weights"]
    mean, gamma = weights["moving_mean"], weights.get("gamma", np.ones(1))
    inverse = 1 / np.sqrt(weights["moving_variance"] + node.layer.arguments()["epsilon"])
    if name == "dx":
        dn, (average, _) = fed["dz"] * gamma, _mean_of(node.layer, fed["x"])
        normalized = (fed["x"] - mean) * inverse
        through = inverse * (average(dn) + normalized * average(dn * normalized))
        return Clues(
            {"training's backward: parts go through mean and variance": right[name] - through}, {}, {"1 / σ": inverse}
        )
    if name != "z":
        return Clues()
    shift = mean * inverse * gamma
    mistakes = {
        "the shift lacks its factor gamma / σ: the mean is taken off as it is": right["z"] + shift - mean,
        "the shift lacks its factor gamma": right["z"] + shift - mean * inverse,
        "the shift lacks its factor 1 / σ": right["z"] + shift - mean * gamma,
        "the mean is added, not taken off": right["z"] + 2 * shift,
        "the mean is not taken off": right["z"] + shift,
    }
    return Clues(mistakes)


def _mean_of(layer: Any, x: Array) -> tuple[Any, int]:
    """Returns the mean over the numbers that share their statistics, in the shape of x, and how many they are."""
    shape: Any = x.shape
    axes: tuple[int, ...] = (-1,)
    if layer.keras_name == "BatchNormalization":
        axes = tuple(range(x.ndim - 1))
    if layer.keras_name == "GroupNormalization":
        groups = shape[-1] if layer.groups == -1 else layer.groups
        shape, axes = (len(x), -1, groups, shape[-1] // groups), (1, 3)

    def mean(a: Array) -> Array:
        parts = np.broadcast_to(a, x.shape).reshape(shape)
        return (parts.mean(axis=axes, keepdims=True) * np.ones(parts.shape)).reshape(x.shape)

    count = np.prod([x.reshape(shape).shape[axis] for axis in axes])
    return mean, int(count)
