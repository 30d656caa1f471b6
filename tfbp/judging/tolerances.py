"""Tolerances, the allowed distance from float64's answer: they follow from the dtype and the reduction length.

u is half the spacing of floats at 1. Inputs are rounded to the dtype before a comparison, so that only the rounding of
the computation itself remains:

    a product C = A · B            T = 4 (u_in + u_part) Q + 8 u_acc S + u_out |C|,   S = |A| |B|,  Q = √((A∘A) (B∘B))
    an elementwise y = f(z)        T = 8 (|f(z (1 ± u)) - f(z)| + u (1 + |z| + |y|)): what one rounding of z can do,
                                   and a few roundings of intermediates as large as 1, z and y
    a layer, a whole network       the change of the reference under random errors of these sizes in every operation

Each T also has the dtype's underflow, half its smallest number, because results may be too small to keep their
digits. u_in counts only where the hardware rounds the inputs again (TF32); u_acc is the accumulator's. A GPU may sum a
product in another way (both were seen on one). XLA's float64 adds all k terms in sequence; their roundings have a
standard deviation of up to u_acc S √(k/3), so √k replaces 8 where it is larger. cuBLAS splits a long sum over blocks
and stores each block's part in the result's dtype, which counts in 16 bits: the parts are sums of different terms of
C, so their squares add up to about Q², and their roundings to u_part Q.
References: Higham, Accuracy and Stability of Numerical Algorithms (2002), chapter 3; of u_part,
https://docs.nvidia.com/cuda/cublas/index.html (CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "tf32": 2.0**-11, "float16": 2.0**-11, "bfloat16": 2.0**-8}

# half the smallest number that is not flushed to zero: TensorFlow keeps float16's subnormals, and no other's
UNDERFLOW = {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-25}


@dataclass(frozen=True)
class Units:
    """The unit roundoffs of one way to compute.

    Attributes:
        out: of the results' dtype.
        product_in: of a second rounding of a product's inputs by the hardware (TF32), else 0.
        product: of the accumulator of a matrix product.
        sum: of the accumulator of a sum over the batch.
        loss: of the dtype of the loss, at least float32.
        underflow: the absolute error of storing a tiny result.
        part: of the stored parts of a long product before their sum, else 0.
        in_sequence: whether a product may be added up term by term.
    """

    out: float
    product_in: float
    product: float
    sum: float
    loss: float
    underflow: float
    part: float = 0.0
    in_sequence: bool = False

    @classmethod
    def of(cls, dtype: str, writing: str = "manual", tf32: bool = False, device: str = "cpu") -> Units:
        """Returns the roundoffs for `dtype`. TensorFlow's bias gradient sums 16-bit numbers in 16 bits on the CPU."""
        out = UNIT_ROUNDOFF[dtype]
        wide = min(out, UNIT_ROUNDOFF["float32"])
        product_in = UNIT_ROUNDOFF["tf32"] if tf32 and dtype == "float32" else 0.0
        part = out if device == "gpu" and out > wide else 0.0
        return cls(
            out, product_in, wide, out if writing == "tape" else wide, wide, UNDERFLOW[dtype], part, device == "gpu"
        )


def product_tolerance(product: Callable[[Callable[[Any], Any]], Any], result: np.ndarray, units: Units) -> np.ndarray:
    """Returns T of a product or a sum of products, in the form product(a function of each factor): of magnitudes, e.g.

    Example:
        >>> a, b = np.ones((2, 100)), np.ones((100, 3))
        >>> tolerance = product_tolerance(lambda of: of(a) @ of(b), a @ b, Units.of("float32"))
        >>> tolerance.shape, bool((tolerance < 100 * 100 * 2**-24).all())
        ((2, 3), True)
    """
    steps = np.maximum(8.0, np.sqrt(product(np.ones_like))) if units.in_sequence else 8.0
    size = steps * units.product * product(np.abs) + units.out * np.abs(result) + units.underflow
    if units.product_in or units.part:
        size = size + 4 * (units.product_in + units.part) * np.sqrt(product(np.square))
    return np.asarray(size)


def elementwise_tolerance(function: Any, z: np.ndarray, scale: Any, unit: float, underflow: float = 0.0) -> np.ndarray:
    """Returns T of y = function(z), for a formula with terms of at most scale · (1 + |z|) + |y|."""
    y = function(z)
    # float64 cannot hold 1 + 2^-53: a step twice as far, and half of its change
    step = max(unit, 2.0**-52)
    sensitivity = unit / step * sum(np.abs(function(z * (1 + s)) - y) for s in (step, -step))
    return 8 * (sensitivity + unit * (np.abs(scale) * (1 + np.abs(z)) + np.abs(y)) + underflow * (1 + np.abs(z)))
