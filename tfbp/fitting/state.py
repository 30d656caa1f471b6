"""All that a training step changes: weights, statistics, seeds, and the variables of optimizers, wherever they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf

# packages of objects in which a step changes nothing
_OTHERS = ("keras", "tensorflow", "numpy", "builtins")


def state_of(model: Any) -> list[Any]:
    """The variables of a model, its metrics' left out, of every optimizer that it holds, and those that its traced
    step reads besides."""
    run = getattr(model, "array_run", None)
    read_by_step = [] if run is None else run.variables()
    held = (variable for optimizer in optimizers_of(model) for variable in optimizer.variables)
    counted = {_identity(variable) for metric in model.metrics for variable in metric.variables}
    unique: dict[int, Any] = {}
    for variable in (*model.variables, *held, *read_by_step):
        unique.setdefault(_identity(variable), variable)
    return [variable for key, variable in unique.items() if key not in counted]


def optimizers_of(model: Any) -> list[keras.optimizers.Optimizer]:
    """The optimizers that a model holds: as attributes of it, of its layers and submodels, or of objects there, in
    lists, dicts, partial functions or inside other optimizers."""
    return list(_found(model, set()))


def variables_read_by(graph: Any) -> list[tf.Variable]:
    """The variables that a traced step reads, in the order in which it captured them, which is the same in every
    process: TensorFlow lists them by their addresses in memory."""
    places = {id(outer): place for place, (outer, _) in enumerate(graph.captures)}
    return sorted(graph.variables, key=lambda variable: places.get(id(variable.handle), len(places)))


def snapshot(model: Any) -> list[tf.Tensor]:
    """A copy of the values that a step changes, for `restore`."""
    # TensorFlow copies a variable only when it is next written
    return [tf.identity(value_of(variable)) for variable in state_of(model)]


def restore(model: Any, values: list[tf.Tensor]) -> None:
    for variable, value in zip(state_of(model), values, strict=False):
        variable.assign(value)


def value_of(variable: Any) -> Any:
    """The value of one of Keras's variables, or TensorFlow's."""
    return variable.value if isinstance(variable, keras.Variable) else variable.read_value()


def _identity(variable: Any) -> int:
    """The same for a variable of Keras and TensorFlow's inside it."""
    return id(variable.value if isinstance(variable, keras.Variable) else variable)


def _found(place: Any, seen: set[int]) -> Iterator[keras.optimizers.Optimizer]:
    if id(place) in seen:
        return
    seen.add(id(place))
    if isinstance(place, keras.optimizers.Optimizer):
        yield place
    if isinstance(place, Mapping):
        parts = list(place.values())
    elif isinstance(place, list | tuple | set | frozenset | deque):
        parts = list(place)
    elif isinstance(place, partial):
        parts = [*place.args, *place.keywords.values()]
    elif isinstance(place, keras.layers.Layer | keras.optimizers.Optimizer) or not _is_foreign(place):
        # TensorFlow's own lists of attributes hold what was there before, too
        parts = [part for name, part in getattr(place, "__dict__", {}).items() if not name.startswith("_self_")]
        slots = (vars(kind).get("__slots__", ()) for kind in type(place).__mro__)
        names = (name for slot in slots for name in ([slot] if isinstance(slot, str) else slot))
        parts += [getattr(place, name, None) for name in names if not name.startswith("__")]
    else:
        return
    for part in parts:
        yield from _found(part, seen)


def _is_foreign(place: Any) -> bool:
    return callable(place) or type(place).__module__.split(".")[0] in _OTHERS
