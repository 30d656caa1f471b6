"""One tensor held against another: shape, dtype and finiteness first, then every element against its tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfbp.checking.diagnosis import diagnose


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        tensor: which tensor, e.g. "layer 0 dkernel".
        ratio: the largest error / tolerance over the elements; infinite for a wrong shape, dtype or a NaN.
        relative_error: |got - expected| / |expected| in the 2-norm.
        mistake: what kind of mistake it looks like, empty where the tensors agree.
    """

    tensor: str
    ratio: float
    relative_error: float
    mistake: str = ""

    @property
    def agrees(self) -> bool:
        return self.ratio <= 1


def compare(tensor: str, got: Any, expected: Any, tolerance: Any, dtype: str = "float64") -> Comparison:
    """Compare `got` with `expected`, element by element, to `tolerance` (an array of expected's shape, or a number).

    Example:
        >>> compare("layer 0 dbias", np.array([1.0, 2.0]), np.array([1.0, 2.0]), 1e-15).agrees
        True
        >>> compare("layer 0 dbias", np.array([-1.0, -2.0]), np.array([1.0, 2.0]), 1e-15).mistake
        'the sign is flipped'
    """
    got_dtype = getattr(got.dtype, "name", str(got.dtype))
    if got_dtype != dtype:
        return Comparison(tensor, np.inf, np.inf, f"dtype {got_dtype}, where {dtype} is expected")
    got = np.asarray(got).astype(np.float64)
    expected = np.asarray(expected, np.float64)
    if got.shape != expected.shape or not np.isfinite(got).all():
        return Comparison(tensor, np.inf, np.inf, diagnose(got, expected))
    error = np.abs(got - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(error == 0, 0.0, error / tolerance)
    ratio = float(ratios.max(initial=0.0))
    norm = float(np.linalg.norm(expected))
    distance = float(np.linalg.norm(got - expected))
    relative = distance / norm if norm else (np.inf if distance else 0.0)
    # written so that a NaN ratio counts as a disagreement
    return Comparison(tensor, ratio, relative, "" if ratio <= 1 else diagnose(got, expected))
