"""Builds Boolean functions as networks of one hidden layer, exact in floating point.

n Boolean inputs, R = 2^n their rows, H hidden units, F functions. A function is its truth table: R values of 0 or 1, in
the order of `truth_rows`.
"""

from __future__ import annotations

import numpy as np

from tfbp.errors import InputError
from tfbp.network import Dense, Network, Parameters


def truth_rows(n: int) -> np.ndarray:
    """Returns every input of a Boolean function, (2^n, n): row r has the binary digits of r, the highest first.

    Example:
        >>> truth_rows(2).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    return (np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1) & 1).astype(np.float64)


def all_tables(n: int) -> np.ndarray:
    """Returns every Boolean function of n inputs as its truth table, (2^(2^n), 2^n).

    Example:
        >>> all_tables(1).astype(int).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    return truth_rows(2**n) == 1


def parity_table(n: int) -> np.ndarray:
    """Returns the truth table of n-bit parity, (2^n,): 1 where an odd number of inputs is 1; XOR for n = 2."""
    return truth_rows(n).sum(axis=1) % 2 == 1


def hidden_units(tables: np.ndarray) -> np.ndarray:
    """Returns the number of hidden units of `construct`, (F,): the smaller number of equal values, at most 2^(n-1).

    Example:
        >>> hidden_units(np.array([[0, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]])).tolist()
        [1, 2, 0]
    """
    ones = np.asarray(tables).sum(axis=1)
    return np.minimum(ones, np.shape(tables)[1] - ones)


def construct(table: np.ndarray) -> tuple[Network, Parameters]:
    """Builds a network of one relu layer and a linear output that equals the Boolean function at every input, exactly.

        y = relu(1 - distance(x, m)) is 1 where x = m and 0 at every other corner of the cube:
        a unit for each row m where the function is 1 and their sum, or, where the zeros are fewer, 1 minus theirs

    Raises:
        InputError: a table that has not 2^n values of 0 and 1.

    Example:
        >>> from tfbp import reference
        >>> network, parameters = construct(parity_table(2))
        >>> network.layers[0].units, reference.forward(network, parameters, truth_rows(2))[:, 0].tolist()
        (2, [0.0, 1.0, 1.0, 0.0])
    """
    table = _checked(table)
    kernels, biases, output_kernels, output_biases = construct_many(table[None])
    units = max(1, int(hidden_units(table[None])[0]))
    parameters: Parameters = [
        {"kernel": kernels[0, :, :units], "bias": biases[0, :units]},
        {"kernel": output_kernels[0, :units, None], "bias": output_biases},
    ]
    return Network(kernels.shape[1], [Dense(units, "relu"), Dense(1)], "half_squared_error"), parameters


def construct_many(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the parameters of `construct` for many functions at once, padded with zero units to H = 2^(n-1).

    Args:
        tables: (F, R).

    Returns:
        The hidden layers' kernels (F, n, H) and biases (F, H), the outputs' kernels (F, H) and biases (F,).
    """
    tables = np.asarray(tables, bool)
    n = tables.shape[1].bit_length() - 1
    most = 2 * tables.sum(axis=1) > tables.shape[1]
    wanted = tables ^ most[:, None]
    # the wanted rows first: at most half of all
    rows = np.argsort(~wanted, axis=1, kind="stable")[:, : 2**n // 2]
    used = np.take_along_axis(wanted, rows, axis=1)
    corners = truth_rows(n)[rows]
    # 1 - distance(x, m) = x · (2m - 1) + 1 - Σ m, for x and m of 0 and 1
    kernels = np.where(used[:, :, None], 2 * corners - 1, 0.0).transpose(0, 2, 1)
    biases = np.where(used, 1 - corners.sum(axis=2), 0.0)
    output_kernels = np.where(most, -1.0, 1.0)[:, None] * used
    return kernels, biases, output_kernels, most.astype(np.float64)


def evaluate_many(parameters: tuple[np.ndarray, ...], x: np.ndarray) -> np.ndarray:
    """Returns the outputs of the networks of `construct_many`, (F, B), for x (B, n)."""
    kernels, biases, output_kernels, output_biases = parameters
    y = np.maximum(np.matmul(x, kernels) + biases[:, None, :], 0)
    return np.matmul(y, output_kernels[:, :, None])[:, :, 0] + output_biases[:, None]


def construct_parity(n: int) -> tuple[Network, Parameters]:
    """Builds n-bit parity with n hidden units, where `construct` takes 2^(n-1): its value depends on Σ x alone.

        y = relu(s) - 2 relu(s - 1) + 2 relu(s - 2) - …,  s = Σ x, zigzags between 0 and 1

    Example:
        >>> from tfbp import reference
        >>> network, parameters = construct_parity(3)
        >>> reference.forward(network, parameters, truth_rows(3))[:, 0].tolist()
        [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n: got {n!r}; accepted: an integer of at least 1.")
    output = 2 * (-1.0) ** np.arange(n)
    output[0] = 1
    parameters: Parameters = [
        {"kernel": np.ones((n, n)), "bias": -np.arange(n, dtype=np.float64)},
        {"kernel": output[:, None], "bias": np.zeros(1)},
    ]
    return Network(n, [Dense(n, "relu"), Dense(1)], "half_squared_error"), parameters


def _checked(table: np.ndarray) -> np.ndarray:
    values = np.asarray(table)
    n = values.size.bit_length() - 1
    if values.ndim != 1 or n < 1 or values.size != 2**n or not np.isin(values, (0, 1)).all():
        raise InputError(f"table: got {table!r}; accepted: 2^n values of 0 and 1, with n at least 1.")
    return values.astype(bool)
