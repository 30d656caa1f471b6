"""Clues of normalizations: mistakes in their constants, and the parts of dx that go through mean and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.network import Node

Array = np.ndarray
Named = dict[str, Any]


def of_statistics(node: Node, fed: Named, right: Named) -> dict[str, Array]:
    """For a normalization by constants with a separate shift: the shift subtracted from x unscaled, or added."""
    weights = fed["weights"]
    if "moving_mean" not in weights:
        return {}
    mean, gamma = weights["moving_mean"], weights.get("gamma", np.ones(1))
    inverse = 1 / np.sqrt(weights["moving_variance"] + node.layer.arguments()["epsilon"])
    shift = mean * inverse * gamma
    return {
        "the shift lacks its factor gamma / σ: the mean is taken off as it is": right["z"] + shift - mean,
        "the shift lacks its factor gamma": right["z"] + shift - mean * inverse,
        "the shift lacks its factor 1 / σ": right["z"] + shift - mean * gamma,
        "the mean is added, not taken off": right["z"] + 2 * shift,
        "the mean is not taken off": right["z"] + shift,
    }


def through_statistics(node: Node, fed: Named, right: Named) -> dict[str, Array]:
    """The parts of a normalization's dx: straight through, by way of the mean, and by way of the variance."""
    weights, x = fed["weights"], fed["x"]
    name = type(node.layer).__name__
    if name not in ("BatchNormalization", "LayerNormalization") or ("moving_mean" in weights and not _renews(right)):
        return {}
    axes: Any = tuple(range(x.ndim - 1)) if name == "BatchNormalization" else (-1,)
    epsilon = node.layer.arguments()["epsilon"]
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    inverse, dn = 1 / np.sqrt(variance + epsilon), fed["dz"] * weights.get("gamma", 1.0)
    normalized = (x - mean) * inverse
    return {
        "through the mean": -inverse * dn.mean(axis=axes, keepdims=True) * np.ones(x.shape),
        "through the variance": -inverse * normalized * (dn * normalized).mean(axis=axes, keepdims=True),
    }


def _renews(right: Named) -> bool:
    return any(name.startswith("new ") for name in right)
