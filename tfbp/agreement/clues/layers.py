"""Clues for a layer's z and gradients: a transposed kernel, a missing row, a missing part."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.judging.diagnosis import Clues
from tfbp.network import Residual
from tfbp.reference.chain import chain_backward
from tfbp.reference.dense import dense_backward as dense_backward_of_reference
from tfbp.reference.residual import forward as residual_forward_of_reference

Array = np.ndarray


def residual_forward(layer: Residual, fed: Any) -> Clues:
    z, x, mistakes = fed["z"], fed["x"], {}
    if "projection" not in layer.parts:
        mistakes = {"nothing is added: the layers' output alone": z - x, "x alone, without the layers": x}
        mistakes["the layers' output is subtracted"] = 2 * x - z
    return Clues(mistakes, sizes={"B": len(x)})


def residual_backward(layer: Residual, fed: Any) -> Clues:
    """Clues for dx: a missing part."""
    _, residuals, _ = residual_forward_of_reference(layer, fed["weights"], fed["x"], training=False, seed=None)
    dx = {}
    for part, inner in layer.parts.items():
        tensors, saved = residuals[part]
        dx[part] = chain_backward(inner, tensors, saved, fed["dz"])[0]
    shortcut = dx.get("projection", fed["dz"])
    terms = {"dx of the layers": dx["layers"], "dx of the shortcut": shortcut}
    return Clues(terms=terms, sizes={"B": len(fed["x"])})


def dense_forward(x: Array, kernel: Array, bias: Array | None) -> Clues:
    mistakes = {"the kernel is transposed": x @ kernel.T} if kernel.shape[0] == kernel.shape[1] else {}
    if mistakes and bias is not None:
        mistakes["the kernel is transposed"] = mistakes["the kernel is transposed"] + bias
    width = x.shape[1]
    for n in _parts(width):
        part = x[:, :n] @ kernel[:n] + (0 if bias is None else bias)
        mistakes[f"only the first {n} of I = {width} inputs are summed"] = part
    terms = (
        {"x · kernel": x @ kernel} if bias is None else {"bias": bias * np.ones((len(x), 1)), "x · kernel": x @ kernel}
    )
    return Clues(mistakes, terms, sizes=_sizes(x, kernel), summed=width)


_GRADIENTS = ("dx", "dkernel", "dbias")


def dense_backward(name: str, x: Array, kernel: Array, dz: Array) -> Clues:
    """Clues for dx, dkernel or dbias."""
    rows = len(dz)
    mistakes: dict[str, Array] = {}

    def gradients(rows: slice) -> Array:
        return dense_backward_of_reference(dz[rows], (x[rows], kernel))[_GRADIENTS.index(name)]

    if name == "dx":
        if kernel.shape[0] == kernel.shape[1]:
            mistakes["the kernel is not transposed"] = dz @ kernel
        if kernel.shape[0] == kernel.shape[1]:
            mistakes["dz is handed on without its product with the kernel"] = dz
        for n in _parts(kernel.shape[1]):
            mistakes[f"only the first {n} of O = {kernel.shape[1]} outputs are summed"] = dz[:, :n] @ kernel[:, :n].T
        return Clues(mistakes, sizes=_sizes(x, kernel), summed=kernel.shape[1])
    for n in _parts(rows):
        missing = ": the last is missing" if n == rows - 1 else ""
        mistakes[f"only the first {n} of B = {rows} rows are summed{missing}"] = gradients(slice(0, n))
    if rows > 1:
        mistakes["the first row is missing from the sum"] = gradients(slice(1, None))
        mistakes["the last row alone, without a sum"] = gradients(slice(-1, None))
        mistakes["the first row alone, without a sum"] = gradients(slice(0, 1))
    if name == "dbias" and dz.shape[0] == dz.shape[1]:
        mistakes["summed over the wrong axis"] = dz.sum(axis=1)
    if name == "dkernel" and dz.shape[0] == x.shape[1] == dz.shape[1]:
        mistakes["x is not transposed"] = x @ dz
    return Clues(mistakes, sizes=_sizes(x, kernel), summed=rows)


def _sizes(x: Array, kernel: Array) -> dict[str, int]:
    return {"B": len(x), "I": kernel.shape[0], "O": kernel.shape[1]}


def _parts(length: int) -> list[int]:
    return sorted({n for n in (length - 1, *(2**k for k in range(4, 14))) if 0 < n < length})
