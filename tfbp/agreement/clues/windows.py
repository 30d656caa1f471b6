"""Clues of pooling: what is added around counts, or the average is not divided. P positions, C channels."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tfbp.network import Node
from tfbp.reference.window import Window

Array = np.ndarray
Named = dict[str, Any]


def of_windows(node: Node, fed: Named, run: Any, right: Named) -> dict[str, Named]:
    """Other results of pooling, by the sentence that names the mistake; {} for another kind."""
    layer: Any = node.layer
    if layer.keras_name.startswith("GlobalMax"):
        rows, channels = len(fed["x"]), fed["x"].shape[-1]
        z, dz = (a.reshape(rows, *[1] * (fed["x"].ndim - 2), channels) for a in (right["z"], fed["dz"]))
        return {"equal maxima do not share dz": {"dx": (fed["x"] == z) * dz}}
    if not layer.keras_name.startswith(("MaxPooling", "AveragePooling")):
        return {}
    inside, size = _inside(layer, fed["x"].shape[1:-1])[..., None], int(np.prod(layer.pool_size))
    if layer.keras_name.startswith("Max"):
        return {
            "what is added around counts as 0": {"z": np.where(inside < size, np.maximum(right["z"], 0), right["z"])}
        }

    def scaled(factor: Array) -> Named:
        return {"z": right["z"] * factor, "dx": run(node, {**fed, "dz": fed["dz"] * factor})["dx"]}

    return {
        "the sum is not divided by the number of what is in the window": scaled(inside),
        "divided by the window's whole size, with what is added around": scaled(inside / size),
    }


def _inside(layer: Any, sizes: tuple[int, ...]) -> Array:
    """The number of x's places in the window at each position, (P, …)."""
    counts = []
    for n, window, stride in zip(sizes, layer.pool_size, layer.strides, strict=True):
        along = Window((n,), (window,), (stride,), layer.padding, (1,))
        (positions,), (before, _) = along.outputs, along.added[0]
        places = stride * np.arange(positions)[:, None] - before + np.arange(window)
        counts.append(((places >= 0) & (places < n)).sum(axis=1))
    return np.asarray(functools.reduce(np.multiply.outer, counts))
