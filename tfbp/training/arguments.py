"""The arguments of Keras's methods: their names, for type checkers, and their several forms."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypedDict


class ModelOptions(TypedDict, total=False):
    """The arguments of `keras.Model` that `tfbp.Model` passes on."""

    name: str | None
    trainable: bool
    dtype: Any


class FromKerasOptions(ModelOptions, total=False):
    """The arguments of `tfbp.Model` without its network."""

    gradients: str
    seed: int
    input_names: Any
    output_names: Any


class CompileOptions(TypedDict, total=False):
    """The arguments of `keras.Model.compile` that `tfbp.Model.compile` passes on."""

    loss_weights: Any
    metrics: Any
    weighted_metrics: Any
    auto_scale_loss: bool


class FitOptions(TypedDict, total=False):
    """The arguments of `keras.Model.fit` after x and y."""

    batch_size: int | None
    epochs: int
    verbose: Any
    callbacks: Any
    validation_split: float
    validation_data: Any
    shuffle: Any
    class_weight: Any
    sample_weight: Any
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: Any


class EvaluateOptions(TypedDict, total=False):
    """The arguments of `keras.Model.evaluate` after x and y."""

    batch_size: int | None
    verbose: Any
    sample_weight: Any
    steps: int | None
    callbacks: Any
    return_dict: bool


def by_name(method: Any, x: Any, y: Any, positional: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of Keras's method by the names that it has for them, with its defaults."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    known = {
        parameter.name: parameter.default for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD
    }
    names = list(known)[2:]
    if len(positional) > len(names):
        raise TypeError(f"{method.__name__}() takes {len(names) + 2} arguments, got {len(positional) + 2}")
    given = dict(zip(names, positional, strict=False))
    if twice := given.keys() & options.keys():
        raise TypeError(f"{method.__name__}() got multiple values for argument {min(twice)!r}")
    if unknown := options.keys() - known.keys():
        raise TypeError(f"{method.__name__}() got an unexpected keyword argument {min(unknown)!r}")
    return {**known, "x": x, "y": y, **given, **options}
