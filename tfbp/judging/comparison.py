"""Compares two tensors: shape, dtype and finiteness first, then every element against its tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfbp.judging.arrays import as_float64
from tfbp.judging.diagnosis import Clues, diagnose
from tfbp.judging.failures import Failure

# above this relative error, check whether both the error and the value are rounding
_LITTLE = 0.1


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        tensor: its name, e.g. "layer 0 dkernel".
        ratio: the largest error / tolerance over the elements; infinite for a missing tensor, a wrong shape or
            dtype, or a NaN.
        relative_error: |got - expected| / |expected| in the 2-norm.
        cause: the likely mistake; empty if the tensors agree, or if no mistake explains the numbers.
        extent: the size and place of the error; empty where the tensors agree.
        size: the number of compared elements.
        is_small: whether the expected tensor is at most its tolerance; its relative error then means little.
    """

    tensor: str
    ratio: float
    relative_error: float
    cause: str = ""
    extent: str = ""
    size: int = 0
    is_small: bool = False

    @property
    def agrees(self) -> bool:
        return self.ratio <= 1

    @property
    def vanishes(self) -> bool:
        """Whether the tensor is 0 up to rounding, as a bias's gradient is before a normalization.

        Its relative error is then a quotient of two rounding errors, and means nothing.
        """
        return self.agrees and (self.relative_error >= 1 or self.is_small)

    @property
    def mistake(self) -> str:
        """Returns cause and extent in one sentence."""
        return "; ".join(part for part in (self.cause, self.extent) if part)


def compare(
    tensor: str,
    got: Any,
    expected: Any,
    tolerance: Any,
    dtype: str = "float64",
    clues: Callable[[], Clues] | None = None,
) -> Comparison:
    """Compares `got` with `expected`, element by element, to `tolerance` (an array of expected's shape, or a number).

    Args:
        got: a tensor or an array; None, anything else, or a `Failure` disagrees.
        clues: for the cause; called only if the tensors disagree.

    Example:
        >>> compare("layer 0 dbias", np.array([1.0, 2.0]), np.array([1.0, 2.0]), 1e-15).agrees
        True
        >>> compare("layer 0 dbias", np.array([-1.0, -2.0]), np.array([1.0, 2.0]), 1e-15).cause
        'the sign is flipped'
        >>> compare("layer 0 dbias", None, np.array([1.0, 2.0]), 1e-15).mistake
        'None, where a tensor is expected'
    """
    if isinstance(got, Failure):
        return Comparison(tensor, np.inf, np.inf, got.sentence)
    if not hasattr(got, "dtype") or not hasattr(got, "shape"):
        what = "None" if got is None else f"a {type(got).__name__}"
        return Comparison(tensor, np.inf, np.inf, f"{what}, where a tensor is expected")
    got_dtype = getattr(got.dtype, "name", str(got.dtype))
    if got_dtype != dtype:
        return Comparison(tensor, np.inf, np.inf, f"dtype {got_dtype}, where {dtype} is expected")
    got, expected = as_float64(got), np.asarray(expected, np.float64)
    if got.shape != expected.shape or not np.isfinite(got).all():
        found = diagnose(got, expected, tolerance, dtype, clues() if clues else None)
        return Comparison(tensor, np.inf, np.inf, *found, got.size)
    error = np.subtract(got, expected, out=np.empty(got.shape))
    norm, distance = float(np.linalg.norm(expected)), float(np.linalg.norm(error))
    # in place: a copy of ten million numbers takes time
    error = np.abs(error, out=error)
    right = error == 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.divide(error, tolerance, out=error)
    ratios[right] = 0.0
    ratio = float(ratios.max(initial=0.0))
    relative = distance / norm if norm else (np.inf if distance else 0.0)
    # in this form a NaN ratio counts as a disagreement
    if ratio <= 1:
        is_small = relative > _LITTLE and norm <= np.linalg.norm(np.broadcast_to(tolerance, got.shape))
        return Comparison(tensor, ratio, relative, size=got.size, is_small=bool(is_small))
    found = diagnose(got, expected, tolerance, dtype, clues() if clues else None)
    return Comparison(tensor, ratio, relative, *found, got.size)
