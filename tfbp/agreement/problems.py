"""A case of the agreement matrix, and the numbers that it is tried on."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from tfbp.network import (
    Network,
    Parameters,
    at,
    map_weights,
)

DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Case:
    """A network and a batch size; targets of a row sum to 1 where the loss is a cross-entropy, or to anything; sample
    weights are those of the tokens, where these have losses of their own, or of whole examples."""

    name: str
    network: Network
    batch: int
    any_targets: bool = False
    training: bool = True
    weighs_examples: bool = False


@dataclass(frozen=True)
class Problem:
    """One case's numbers, already rounded to a dtype and held in float64."""

    parameters: Parameters
    x: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray


def problem(case: Case, dtype: str, seed: int = 2026) -> Problem:
    """Random numbers for a case, rounded to `dtype`."""
    rng = np.random.default_rng([seed, *case.name.encode()])
    network = case.network
    parameters = map_weights(lambda w: round_to(w + 0.3 * rng.normal(size=w.shape), dtype), network.init(seed))
    for place, name, _ in network.penalties:
        at(parameters, place)[name].flat[::7] = 0  # the kink of L1
    shape = (case.batch, *network.input_shape)
    if network.tokens is not None:
        x = rng.integers(0, network.tokens.vocabulary, shape)
    else:
        x = round_to(rng.normal(size=shape), dtype)
    shape = (case.batch, *network.target_shape)
    y: np.ndarray
    if network.loss.name.startswith("sparse"):
        y = rng.integers(0, network.outputs, shape)
    elif "crossentropy" in network.loss.name:
        y = rng.random(shape)
        y = y if case.any_targets else y / y.sum(axis=-1, keepdims=True)
    else:
        y = rng.normal(size=shape)
    # the loss is computed in float32 or wider: its arguments are rounded to that
    wide = "float64" if dtype == "float64" else "float32"
    y = y if y.dtype.kind == "i" else round_to(y, wide)
    weighed = (case.batch,) if case.weighs_examples else (case.batch, *network.output_shape[:-1])
    return Problem(parameters, x, y, round_to(rng.uniform(0.5, 2, weighed), wide))


def round_to(array: np.ndarray, dtype: str) -> np.ndarray:
    """`array` rounded to `dtype`, as float64."""
    return np.asarray(array).astype(numpy_dtype(dtype)).astype(np.float64)


def numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
