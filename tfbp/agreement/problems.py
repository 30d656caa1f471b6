"""A case of the agreement matrix, and its random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """A network and a batch size.

    Targets of a row sum to 1 for a cross-entropy, or to anything. Sample weights belong to tokens with their own
    losses, or to whole examples."""

    name: str
    network: Network
    batch: int
    any_targets: bool = False
    training: bool = True
    weighs_examples: bool = False
    # constants of tfbp.manual for this case, by module and name: code for large sizes then runs at small ones
    constants: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Problem:
    """One case's numbers, rounded to a dtype and stored in float64; tuples for several inputs or outputs."""

    parameters: Parameters
    x: Any
    y: Any
    sample_weight: Any


def problem(case: Case, dtype: str, seed: int = 2026) -> Problem:
    """Returns random numbers for a case, rounded to `dtype`."""
    rng = np.random.default_rng([seed, *case.name.encode()])
    network = case.network
    parameters = map_weights(lambda w: round_to(w + 0.3 * rng.normal(size=w.shape), dtype), network.init(seed))
    for place, name, _ in network.penalties:
        at(parameters, place)[name].flat[::7] = 0  # the kink of L1
    x = [
        rng.integers(0, tokens.vocabulary, (case.batch, *shape))
        if tokens is not None
        else round_to(rng.normal(size=(case.batch, *shape)), dtype)
        for shape, tokens in zip(network.input_shapes, network.input_tokens, strict=True)
    ]
    # the loss is computed in float32 or wider: its arguments are rounded to that
    wide = "float64" if dtype == "float64" else "float32"
    y, weights = [], []
    for output, loss in enumerate(network.losses):
        targets = _targets(rng, loss.name, case, output)
        y.append(targets if targets.dtype.kind == "i" else round_to(targets, wide))
        weighed = (case.batch,) if case.weighs_examples else (case.batch, *network.output_shapes[output][:-1])
        weights.append(round_to(rng.uniform(0.5, 2, weighed), wide))
    return Problem(parameters, *(array[0] if len(array) == 1 else tuple(array) for array in (x, y, weights)))


def _targets(rng: np.random.Generator, loss: str, case: Case, output: int) -> np.ndarray:
    """Returns y of one output."""
    shape = (case.batch, *case.network.target_shapes[output])
    if loss.startswith("sparse"):
        return rng.integers(0, case.network.output_shapes[output][-1], shape)
    if "crossentropy" in loss:
        y = rng.random(shape)
        return y if case.any_targets else y / y.sum(axis=-1, keepdims=True)
    return rng.normal(size=shape)


def of_each_loss(network: Any, sample_weight: np.ndarray, output: int = 0) -> np.ndarray:
    """Repeats an example's weight, (B,), for each of its tokens, (B, …), where these have their own losses."""
    shape = (len(sample_weight), *network.output_shapes[output][:-1])
    return np.broadcast_to(sample_weight.reshape(sample_weight.shape + (1,) * (len(shape) - sample_weight.ndim)), shape)


def round_to(array: np.ndarray, dtype: str) -> np.ndarray:
    """Rounds `array` to `dtype`, as float64."""
    return np.asarray(array).astype(numpy_dtype(dtype)).astype(np.float64)


def numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
