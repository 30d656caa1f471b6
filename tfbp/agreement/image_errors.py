"""Local tolerances of convolution, pooling, normalization and dropout: how far a right result may be from float64's.

As `running_error` of the dense layer: to first order, each line's own rounding, and that of its inputs carried through
the line. Names are the reference's; error_a is the error of a. Each function takes the arguments of the reference's
forward, dy, and the units, and gives the tolerances by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.judging.tolerances import Units
from tfbp.reference import convolution, pooling

Array = np.ndarray
Errors = dict[str, Array]


def convolution_errors(
    kind: str, x: Array, kernel: Array, bias: Array | None, dz: Array, units: Units, **options: Any
) -> Errors:
    """Of z, dx, dkernel and dbias: each is a sum of products, so that S is the same sum of absolute values.

    Args:
        kind: conv2d or depthwise_conv2d.

    Example:
        >>> x, kernel = np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1))
        >>> found = convolution_errors("conv2d", x, kernel, None, np.ones((1, 2, 2, 1)), Units.of("float32"))
        >>> sorted(found), bool((found["z"] < 9 * 4 * 2**-23).all())
        (['dbias', 'dkernel', 'dx', 'z'], True)
    """
    forward, backward = (getattr(convolution, f"{kind}_{way}") for way in ("forward", "backward"))
    names = "dx", "dkernel", "dbias"
    z, residuals = forward(x, kernel, None, **options)
    sizes, of_sizes = forward(np.abs(x), np.abs(kernel), None, **options)
    errors = {"z": _sum_error(sizes, z, units)}
    if bias is not None:
        # the product is stored, rounded, before the bias is added
        errors["z"] = errors["z"] + 2 * units.out * (np.abs(z) + np.abs(bias))
    exact = backward(dz, residuals)
    # S of the gradients, by the same sums of absolute values
    for name, size, value in zip(names, backward(np.abs(dz), of_sizes), exact, strict=True):
        errors[name] = _sum_error(size, value, units, units.sum if name == "dbias" else None)
    return errors


def pooling_errors(kind: str, x: Array, dy: Array, units: Units, **options: Any) -> Errors:
    """Of y and dx: a maximum is exact, and the rest are sums and at most two more roundings.

    Args:
        kind: max_pool2d, average_pool2d, global_max_pool2d or global_average_pool2d.
    """
    forward, backward = (getattr(pooling, f"{kind}_{way}") for way in ("forward", "backward"))
    y, residuals = forward(x, **options)
    dx, size = backward(dy, residuals), backward(np.abs(dy), residuals)
    if "max" in kind:
        return {"y": np.zeros(y.shape), "dx": _sum_error(size, dx, units) + 2 * units.out * size}
    sizes = forward(np.abs(x), **options)[0]
    return {
        "y": _sum_error(sizes, y, units) + 2 * units.out * np.abs(y),
        "dx": _sum_error(size, dx, units) + units.out * size,
    }


def normalization_errors(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    dy: Array,
    units: Units,
    *,
    axes: Any,
    epsilon: float,
    centred: bool = True,
    constants: tuple[Array, Array] | None = None,
) -> Errors:
    """Of y, dx, dgamma, dbeta, mean and variance, x in the shape in which `axes` are those that share both.

    Args:
        gamma, beta: broadcast to x's shape.
        centred: False for the root mean square.
        constants: mean and variance where they are not those of x.
    """
    u, out = units.loss, units.out
    axes = tuple(axes)

    def mean(a: Array) -> Array:
        return a.mean(axis=axes, keepdims=True)

    zero = np.zeros_like(mean(x))
    if constants is None:
        m = mean(x) if centred else zero
        error_m = 8 * u * mean(np.abs(x)) if centred else zero
    else:
        m, error_m = constants[0], u * np.abs(constants[0])
    c = x - m
    error_c = error_m + u * np.abs(c)
    if constants is None:
        variance = mean(c**2)
        error_variance = 8 * u * variance + 2 * mean(np.abs(c) * error_c) + error_m**2
    else:
        variance, error_variance = constants[1], u * constants[1]
    r = 1 / np.sqrt(variance + epsilon)
    error_r = 0.5 * r**3 * (error_variance + 2 * u * (variance + epsilon)) + 8 * u * r
    n = c * r
    # y may be computed as x · factor + shift, whose terms are as large as |x| r and |m| r
    error_n = (
        error_c * r + np.abs(c) * error_r + 8 * u * (np.abs(n) + (np.abs(x) + np.abs(m)) * r) + np.abs(m) * error_r
    )
    g, b = (np.ones(1) if gamma is None else gamma), (np.zeros(1) if beta is None else beta)
    y = n * g + b
    errors = {"mean": error_m + out * np.abs(m), "variance": error_variance + out * variance}
    errors["y"] = np.abs(g) * error_n + 8 * u * (np.abs(n * g) + np.abs(b)) + out * np.abs(y) + units.underflow

    dn = dy * g
    error_dn = 2 * u * np.abs(dn)
    inner, error_inner = dn, error_dn
    if constants is None:
        along_x = mean(dn * n)
        error_along = 8 * u * mean(np.abs(dn * n)) + mean(np.abs(dn) * error_n + np.abs(n) * error_dn)
        inner = dn - n * along_x - (mean(dn) if centred else 0)
        error_inner = error_dn + error_n * np.abs(along_x) + np.abs(n) * error_along
        error_inner = error_inner + 8 * u * (np.abs(dn) + np.abs(n * along_x))
        # γ is constant where the batch shares its statistics, and may come before or after the sums
        error_inner = error_inner + (8 * u * mean(np.abs(dn)) + mean(error_dn) if centred else 0)
    dx = r * inner
    errors["dx"] = error_r * np.abs(inner) + r * error_inner + 8 * u * np.abs(dx) + out * np.abs(dx) + units.underflow
    errors["dgamma each"] = np.abs(dy) * error_n + 8 * u * np.abs(dy * n)
    errors["dbeta each"] = 8 * u * np.abs(dy)
    return errors


def dropout_error(y: Array, units: Units) -> Array:
    """The factor is rounded, and the product."""
    return 3 * units.out * np.abs(y) + units.underflow


def _sum_error(size: Array, value: Array, units: Units, accumulator: float | None = None) -> Array:
    accumulator = units.product if accumulator is None else accumulator
    return 8 * accumulator * size + units.out * np.abs(value) + units.underflow
