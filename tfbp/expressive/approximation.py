"""Builds functions as networks of sigmoids by hand: without training, with an error that is known beforehand.

N points, U units of a layer (for two variables, U² in the second).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfbp import reference
from tfbp.errors import InputError
from tfbp.network import Dense, Network, Parameters

Function = Callable[..., np.ndarray]

# the distance from its middle, in units of 1 / slope, at which a sigmoid is 0 or 1 to rounding
FLAT = 40.0
# the number of points that represent an interval
POINTS = 2**18


def units_for(function: Function, low: float, high: float, precision: float) -> int:
    """Returns the U with which `staircase` has an error of at most `precision`: V / (2 ε), plus a tenth for the steps.

    Raises:
        InputError: a precision that is not above 0.

    Example:
        >>> units_for(lambda x: x, 0.0, 1.0, precision=0.1)
        6
    """
    if not 0 < precision < np.inf:
        raise InputError(f"precision: got {precision!r}; accepted: a finite number above 0.")
    variation = np.abs(np.diff(function(np.linspace(low, high, POINTS)))).sum()
    return max(1, int(np.ceil(1.1 * variation / (2 * precision))))


def staircase(function: Function, low: float, high: float, units: int) -> tuple[Network, Parameters]:
    """One hidden layer of steep sigmoids and a linear output: a staircase that follows a continuous function.

        y = c_0 + Σ_k (c_k - c_{k-1}) sigmoid(s (x - t_k))

    The steps t_k cut the interval into U + 1 pieces with an equal share of the function's total variation V, and c_k is
    the middle between the function's least and greatest value on its piece. It varies by at most V / (U + 1) there,
    hence the error is at most V / (2 (U + 1)) everywhere: a precision ε takes U = V / (2 ε) units.

    Args:
        function: continuous, of bounded variation, from (N,) to (N,).
        low, high: the interval's ends.
        units: U, at least 1; fewer are returned if the steps are too close to distinguish.

    Raises:
        InputError: no unit, or an interval without length.

    Example:
        >>> from tfbp import reference
        >>> network, parameters = staircase(np.sin, 0.0, 3.0, units=100)
        >>> x = np.linspace(0, 3, 1001)
        >>> error = np.abs(reference.forward(network, parameters, x[:, None])[:, 0] - np.sin(x)).max()
        >>> V = 2 - np.sin(3.0)  # up to 1, and down again
        >>> bool(error <= V / (2 * 101) + 1e-4)
        True
    """
    _check(low, high, units)
    x = np.linspace(low, high, POINTS)
    values = function(x)
    cuts = _equal_shares(values, units)
    pieces = np.split(values, cuts + 1)
    levels = np.array([(piece.min() + piece.max()) / 2 for piece in pieces])
    steps = (x[cuts] + x[cuts + 1]) / 2
    # between one sample and the next, each step goes from 0 to 1
    slope = np.full(len(cuts), 2 * FLAT * (POINTS - 1) / (high - low))
    return _one_hidden_layer(slope, steps, np.diff(levels), levels[0])


def least_squares(function: Function, low: float, high: float, units: int) -> tuple[Network, Parameters]:
    """Builds a `staircase` with evenly spaced, overlapping sigmoids, and the output layer by least squares.

    For a fixed hidden layer the best output layer is a linear problem. The error is not known beforehand. It falls
    faster with the number of units where the function is smoother.

    Example:
        >>> from tfbp import reference
        >>> network, parameters = least_squares(np.sin, 0.0, 3.0, units=20)
        >>> x = np.linspace(0, 3, 1001)
        >>> bool(np.abs(reference.forward(network, parameters, x[:, None])[:, 0] - np.sin(x)).max() < 1e-5)
        True
    """
    _check(low, high, units)
    # a little past the ends: else there would be units on one side only
    overhang = 0.05 * (high - low)
    steps = np.linspace(low - overhang, high + overhang, units)
    slope = np.full(units, 0.5 * units / (high - low))
    x = np.linspace(low, high, 4097)
    design = np.concatenate([_sigmoid((x[:, None] - steps) * slope), np.ones((len(x), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, function(x), rcond=1e-13)
    return _one_hidden_layer(slope, steps, solution[:-1], solution[-1])


def staircase_of_two(function: Function, low: float, high: float, units: int) -> tuple[Network, Parameters]:
    """Builds two hidden layers of steep sigmoids: steps over the square [low, high]², for a function of two variables.

    The first layer has U steps for each variable. Unit (i, j) of the second is on where x is past step i *and* z past
    step j: over a quadrant. The output sums the quadrants, weighted so that each cell gets the function's value at its
    middle. Where the function is continuous, the error is at most what it varies by over neighbouring cells; at a jump,
    no continuous network is near, but only there.

    Args:
        function: from x (N,) and z (N,) to (N,).
        low, high: the ends of both intervals.
        units: U, at least 1: 2 U units in the first hidden layer, (U + 1)² in the second.

    Raises:
        InputError: no unit, or an interval without length.

    Example:
        >>> from tfbp import reference
        >>> network, parameters = staircase_of_two(lambda x, z: x * z, 0.0, 1.0, units=9)
        >>> cells = np.array([[0.05, 0.05], [0.95, 0.05], [0.95, 0.95]])
        >>> reference.forward(network, parameters, cells)[:, 0].round(12).tolist()
        [0.0025, 0.0475, 0.9025]
    """
    _check(low, high, units)
    width = (high - low) / (units + 1)
    steps = low + width * np.arange(1, units + 1)
    middles = low + width * (np.arange(units + 1) + 0.5)
    values = function(*(coordinates.ravel() for coordinates in np.meshgrid(middles, middles, indexing="ij")))
    values = values.reshape(units + 1, units + 1)
    # what each quadrant adds: the differences of the values along both axes
    added = np.diff(np.diff(values, axis=0, prepend=0), axis=1, prepend=0)
    slope = 100 * FLAT / width
    kernel_0 = np.zeros((2, 2 * units))
    kernel_0[0, :units] = kernel_0[1, units:] = slope
    # and: on where both steps are; before the first step there is nothing to be past
    past = np.concatenate([np.zeros((units, 1)), np.eye(units)], axis=1)
    of_x, of_z = np.repeat(past, units + 1, axis=1), np.tile(past, (1, units + 1))
    needed = np.concatenate([of_x, of_z]).sum(axis=0)
    parameters = [
        {"kernel": kernel_0, "bias": -slope * np.tile(steps, 2)},
        {"kernel": 2 * FLAT * np.concatenate([of_x, of_z]), "bias": 2 * FLAT * (0.5 - needed)},
        {"kernel": added.reshape(-1, 1), "bias": np.zeros(1)},
    ]
    layers = [Dense(2 * units, "sigmoid"), Dense((units + 1) ** 2, "sigmoid"), Dense(1)]
    return Network(2, layers, "half_squared_error"), parameters


def largest_error(
    network: Network, parameters: Parameters, function: Function, low: float, high: float, points: int = 10_007
) -> float:
    """Returns the sup-norm error on evenly spaced points, for a function of one variable on [low, high].

    Example:
        >>> network, parameters = staircase(lambda x: x, 0.0, 1.0, units=9)
        >>> round(largest_error(network, parameters, lambda x: x, 0.0, 1.0), 3)
        0.05
    """
    x = np.linspace(low, high, points)
    # few rows at a time: a wide layer on all of them would fill the memory
    parts = np.array_split(x, 1 + points * network.top_nodes[0].output_shape[0] // 2**21)
    outputs = np.concatenate([reference.forward(network, parameters, part[:, None])[:, 0] for part in parts])
    return float(np.abs(outputs - function(x)).max())


def errors_of_two(
    network: Network, parameters: Parameters, function: Function, low: float, high: float, points: int = 151
) -> np.ndarray:
    """Returns the absolute error of a function of two variables on a grid of points, (points, points)."""
    axis = np.linspace(low, high, points)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    outputs = np.stack([reference.forward(network, parameters, row)[:, 0] for row in grid])
    return np.abs(outputs - function(grid[..., 0], grid[..., 1]))


def _one_hidden_layer(slope, steps, kernel, bias):
    parameters = [
        {"kernel": slope[None, :], "bias": -slope * steps},
        {"kernel": kernel[:, None], "bias": np.array([bias])},
    ]
    return Network(1, [Dense(len(steps), "sigmoid"), Dense(1)], "half_squared_error"), parameters


def _equal_shares(values: np.ndarray, units: int) -> np.ndarray:
    """Returns the indices after which to cut, so that the total variation falls into U + 1 equal shares."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(values)))])
    cuts = np.searchsorted(way, way[-1] * np.arange(1, units + 1) / (units + 1)) - 1
    # at most one step between two samples, and none where the function is constant
    return np.unique(np.clip(cuts, 0, len(values) - 2))


def _sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def _check(low: float, high: float, units: int) -> None:
    if not low < high:
        raise InputError(f"high: got {high!r} with low {low!r}; accepted: more than low.")
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise InputError(f"units: got {units!r}; accepted: an integer of at least 1.")
