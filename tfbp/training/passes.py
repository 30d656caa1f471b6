"""The hand-written backward over all samples, batch by batch, for statistics of each example's gradient. N samples."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfbp import manual
from tfbp.errors import check_count
from tfbp.network import Network, Options, map_weights
from tfbp.training import samples, step


def passes(kind: str, model: Any, x: Any, y: Any, sample_weight: Any, batch_size: int) -> Iterator[Any]:
    """The results of the program of that kind, batch by batch."""
    check_count("batch_size", batch_size)
    data = samples.tensors(model, samples.checked(model, x, y, sample_weight))
    trained = tuple(weight.trainable for weight in step.variables(model)) if kind == "norms" else None
    program = _program(kind, model.network, model.compute_dtype, bool(model.jit_compile), trained)
    parameters = step.read(model)
    for start in range(0, len(data[0]), batch_size):
        yield program(parameters, *(array[start : start + batch_size] for array in data))


@functools.lru_cache(maxsize=16)
def _program(kind: str, network: Network, dtype: str, jit_compile: bool, trained: tuple[bool, ...] | None) -> Any:
    function: Any = {"norms": manual.per_example.gradient_norms, "moments": manual.per_example.gradient_moments}[kind]

    def run(parameters: Any, x: Any, y: Any, sample_weight: Any = None) -> Any:
        # an example's gradient is that of the network as it predicts, where layers would draw
        arguments = step.fed(network, dtype, parameters, x)
        options = Options(training=not network.draws)
        if trained is None:
            return function(network, *arguments, y, sample_weight, options)
        flags = iter(trained)
        by_weight = map_weights(lambda _: next(flags), parameters)
        return function(network, *arguments, y, sample_weight, options, by_weight)

    return tf.function(run, jit_compile=jit_compile, autograph=False)
