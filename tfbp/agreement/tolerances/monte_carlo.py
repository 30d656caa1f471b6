"""Monte Carlo arithmetic: measures the reference's own sensitivity to rounding.

The NumPy reference runs on arrays that make every operation a little wrong, at random, by as much as a right answer
in the dtype may be, as in `judging.tolerances`:

    a product              8 u_acc S + 4 u_in Q + 2 u_out |C|   S the sum of the terms' magnitudes, Q² that of squares
    a sum of k             max(8, √(k/3)) u_acc S + 2 u_out |result|
    a + b, a - b           4 u_out |result| + 2 u_acc (|a| + |b|)
    any other operation    4 u_out |result| + underflow         exact are comparisons, maxima, signs and moves of data

each times a random number between -1 and 1. T of a tensor is, element by element, the larger of the largest change in
several runs and three times their root mean square, which depends less on chance. Errors cancel as in a real
computation, so that depth does not widen T. TensorFlow on the CPU sums all axes but a short last one in a loop, as
seen bit for bit: the roundings of the k partial sums have a standard deviation of up to u_acc S √k/3, that of a random
number within √(k/3) u_acc S.
Reference: Parker, Monte Carlo arithmetic (1997), https://web.cs.ucla.edu/~stott/mca/CSD-970002.ps.gz
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfbp.judging.tolerances import Units, product_tolerance

RUNS = 16
_EXACT = {"negative", "positive", "absolute", "fabs", "sign", "maximum", "minimum", "fmax", "fmin", "floor", "ceil"}
_PRODUCTS = {np.einsum, np.tensordot, np.dot, np.inner}


class Rounding:
    """The random errors of one way to compute.

    Args:
        units: its unit roundoffs.
        seed: of the errors.
    """

    def __init__(self, units: Units, seed: Any) -> None:
        self.units = units
        self._rng = np.random.default_rng(seed)

    def on(self, array: Any) -> Any:
        """Returns the array with errors in its operations; arrays without floats stay unchanged."""
        array = np.asarray(array)
        if array.dtype.kind != "f":
            return array
        noisy = array.view(Noisy)
        noisy.noise = self
        return noisy

    def of_product(self, result: Any, product: Callable[[Callable[[Any], Any]], Any]) -> Any:
        """Returns the error of product(a function of each factor), e.g. of its magnitudes."""
        return self.moved(result, product_tolerance(product, result, self.units) + self.units.out * np.abs(result))

    def of_sum(self, result: Any, magnitudes: Any, length: Any) -> Any:
        """Returns the error of a sum of `length` terms, which may be added in sequence."""
        size = np.maximum(8.0, np.sqrt(np.asarray(length) / 3)) * self.units.sum * magnitudes
        return self.moved(result, size + 2 * self.units.out * np.abs(result) + self.units.underflow)

    def of_operation(self, result: Any) -> Any:
        return self.moved(result, 4 * self.units.out * np.abs(result) + self.units.underflow)

    def of_terms(self, result: Any, a: Any, b: Any) -> Any:
        """Returns the error of a sum of two, which another formula may round before and not after."""
        return self.moved(
            result, 4 * self.units.out * np.abs(result) + 2 * self.units.sum * (a + b) + self.units.underflow
        )

    def moved(self, result: Any, size: Any) -> Any:
        """Returns the result with a random error of up to `size`."""
        return result + size * self._rng.uniform(-1, 1, np.shape(result))


class Noisy(np.ndarray):
    """A float64 array with the errors of its `noise` in its operations."""

    noise: Rounding | None = None

    def __array_finalize__(self, made_from: Any) -> None:
        self.noise = getattr(made_from, "noise", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        noise = _noise_of(inputs)
        bare = [plain(tensor) for tensor in inputs]
        if method == "at":
            getattr(ufunc, method)(*bare, **options)
            if ufunc is np.add and noise is not None:
                _move_sums(noise, *bare)
            return None
        result = getattr(ufunc, method)(*bare, **options)
        if noise is not None and ufunc.__name__ not in _EXACT and np.asarray(result).dtype.kind == "f":
            if ufunc is np.matmul:
                result = noise.of_product(result, lambda of: ufunc(*map(of, bare)))
            elif ufunc is np.add and method == "reduce":
                length = np.size(bare[0]) / max(1, np.size(result))
                result = noise.of_sum(result, ufunc.reduce(np.abs(bare[0]), **options), length)
            elif ufunc in (np.add, np.subtract) and method == "__call__":
                # another formula may compute (x - mean) / σ as x / σ - mean / σ
                result = noise.of_terms(result, np.abs(bare[0]), np.abs(bare[1]))
            else:
                result = noise.of_operation(result)
        if out is not None:
            plain(out[0])[...] = result
            return out[0]
        return result if noise is None or isinstance(result, tuple) else noise.on(result)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        noise = self.noise
        if function in _PRODUCTS and noise is not None:
            result = function(*_map(plain, arguments), **options)

            def product(of: Callable[[Any], Any]) -> Any:
                return function(*_map(lambda argument: of(plain(argument)), arguments), **options)

            return noise.on(noise.of_product(result, product))
        result = super().__array_function__(function, types, arguments, options)
        return result if noise is None or not isinstance(result, np.ndarray) else noise.on(result)


def _move_sums(noise: Rounding, sums: Any, places: Any, terms: Any) -> None:
    """Returns the errors of np.add.at, where several terms go to one place."""
    magnitudes, lengths = np.zeros_like(sums), np.zeros_like(sums)
    np.add.at(magnitudes, places, np.abs(terms))
    np.add.at(lengths, places, np.ones_like(terms))
    sums[...] = np.where(lengths > 1, noise.of_sum(sums, magnitudes, lengths), sums)


def plain(array: Any) -> Any:
    """Returns the array's numbers, without errors in their operations."""
    return array.view(np.ndarray) if isinstance(array, Noisy) else array


def sensitivity(
    run: Callable[[Rounding], dict[str, Any]], exact: dict[str, Any], units: Units
) -> dict[str, np.ndarray]:
    """Returns T of every tensor that `run` returns by name, on arrays with noise.

    Example:
        >>> x = np.linspace(1.0, 2.0, 4)
        >>> found = sensitivity(lambda noise: {"y": noise.on(x) * 3}, {"y": x * 3}, Units.of("float32"))
        >>> bool((found["y"] < 16 * 2**-24 * 3 * x).all() and (found["y"] > 2**-24 * 3 * x).all())
        True
    """
    largest = {name: np.zeros(np.shape(value)) for name, value in exact.items()}
    squares = {name: np.zeros(np.shape(value)) for name, value in exact.items()}
    for seed in range(RUNS):
        with np.errstate(over="ignore", invalid="ignore"):
            for name, value in run(Rounding(units, seed)).items():
                change = np.abs(np.asarray(plain(value)) - exact[name])
                largest[name] = np.maximum(largest[name], change)
                squares[name] += change**2 / RUNS
    return {name: np.maximum(moved, 3 * np.sqrt(squares[name])) + units.underflow for name, moved in largest.items()}


def _noise_of(inputs: Any) -> Rounding | None:
    return next((tensor.noise for tensor in inputs if isinstance(tensor, Noisy) and tensor.noise is not None), None)


def _map(function: Callable[[Any], Any], arguments: Any) -> list[Any]:
    return [function(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
