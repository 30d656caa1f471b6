"""A layer's values with other positions, and a table's gradient where a token has several places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfbp.network import Node

Named = dict[str, Any]


def from_1(node: Node, fed: Named, run: Any) -> Named:
    before = {name: np.concatenate([0 * fed[name][:, :1], fed[name]], axis=1) for name in ("x", "dz")}
    found = run(node, {**fed, **before})
    return {name: value[:, 1:] if name in ("z", "dx") else value for name, value in found.items()}


def of_tokens(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Callable[[], Named]]]:
    """The gradient of a table whose rows have several places."""
    right, tokens = run(node, fed)["dembeddings"], fed["x"].ravel()
    last = np.zeros_like(right)
    last[tokens] = fed["dz"].reshape(len(tokens), -1)
    yield "of a token's places the last alone counts", lambda: {"dembeddings": last}
    counts = np.maximum(np.bincount(tokens, minlength=len(right)), 1)[:, None]
    yield "a token has the mean of its places, not their sum", lambda: {"dembeddings": right / counts}
