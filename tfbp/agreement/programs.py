"""Runs a function on a device in a mode: returns named tensors, or the cause why there are none.

In graph mode the number of rows is unknown while tracing; in XLA it is known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import tensorflow as tf

from tfbp.judging.comparison import Comparison, compare
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.placement import array_from, strictly_on
from tfbp.judging.tf32 import tf32_enabled

MODES = ("eager", "graph", "xla")
# tensors without a row for each example, and containers of nothing else
_WITHOUT_ROWS = {"kernel", "bias", "alpha", "mask", "weights", "parameters", "fixed"}
Named = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """The place of a run; a case has a name.

    Example:
        >>> from tfbp.agreement.cases import shape_cases
        >>> Cell(next(shape_cases()), "float32", "xla").id
        'dense-B33-I64-O10-float32-xla-cpu'
    """

    case: Any
    dtype: str
    mode: str
    device: str = "cpu"
    tf32: bool = False

    @property
    def id(self) -> str:
        return "-".join([self.case.name, self.dtype, self.mode, self.device] + ["tf32"] * self.tf32)


@dataclass(frozen=True)
class Result:
    """A comparison, the two writings that it compares, and the part of the harness."""

    cell: Cell
    pair: str
    scope: str
    comparison: Comparison


@dataclass(frozen=True)
class Topic:
    """The subject of a trial that is not a network of the matrix."""

    name: str


@dataclass(frozen=True)
class SuiteCase:
    """A function of named tensors, its inputs, and the right answers with their tolerances.

    Attributes:
        case: its subject. name: the prefix of the tensors' names in a report.
        writing: "manual", "tape" or "layers".
        run: the function; it takes `fed` and returns named tensors.
        fed: named arrays in their dtypes.
        expected, tolerances: by tensor. dtypes: by tensor, where they differ from the cell's.
        clues: by tensor, a function that returns the `Clues` for a diagnosis.
    """

    case: Any
    name: str
    writing: str
    run: Callable[[Named], Named]
    fed: Named
    expected: Named
    tolerances: Named
    dtypes: Named = field(default_factory=dict)
    clues: Mapping[str, Callable[[], Clues]] = field(default_factory=dict)


def run_trials(trials: list[SuiteCase], scope: str, cell: Cell) -> list[Result]:
    """Runs the trials in the cell's dtype, mode and device, in one program: a program for each takes minutes."""
    with on(cell):
        fed = [tf.nest.map_structure(tf.constant, trial.fed) for trial in trials]
        keys = [f"{index}" for index in range(len(trials))]

        def all_of_them(fed: list[Named]) -> Named:
            found = {}
            for key, trial, tensors in zip(keys, trials, fed, strict=True):
                found.update({f"{key} {name}": value for name, value in _answers(trial, tensors).items()})
            return found

        got = attempt(run, all_of_them, fed, cell.mode)
        if isinstance(got, Failure) or any(isinstance(value, Failure) for value in got.values()):
            # a trial that fails at run time stops the others: each runs as a separate program
            got = {}
            for key, trial, tensors in zip(keys, trials, fed, strict=True):
                alone = run_each(partial(_answers, trial), tensors, cell.mode, trial.expected)
                got.update({f"{key} {name}": value for name, value in alone.items()})
    results = []
    for key, trial in zip(keys, trials, strict=True):
        where = Cell(trial.case, cell.dtype, cell.mode, cell.device, cell.tf32)
        for name, value in trial.expected.items():
            found = compare(
                f"{trial.name} {name}",
                array_from(got.get(f"{key} {name}"), cell.device),
                value,
                trial.tolerances[name],
                trial.dtypes.get(name, cell.dtype),
                trial.clues.get(name),
            )
            results.append(Result(where, f"{trial.writing}-reference", scope, found))
    return results


def _answers(trial: SuiteCase, fed: Named) -> Named:
    answer = attempt(trial.run, fed)
    return dict.fromkeys(trial.expected, answer) if isinstance(answer, Failure) else answer


def run(function: Callable[[Any], Named], fed: Any, mode: str) -> Named:
    """Runs function(fed) in a mode, by name; values that are not tensors are passed on."""
    others: Named = {}

    def tensors(fed: Any) -> Named:
        values = function(fed)
        others.update({name: value for name, value in values.items() if not tf.is_tensor(value)})
        return {name: value for name, value in values.items() if tf.is_tensor(value)}

    return {**compiled(tensors, mode, fed)(fed), **others}


def run_each(function: Callable[[Any], Named], fed: Any, mode: str, names: Iterable[str]) -> Named:
    """Runs as `run`; after an exception, each tensor in a separate program, and a `Failure` for those that raise."""
    answer = attempt(run, function, fed, mode)
    if not isinstance(answer, Failure):
        return answer
    got = {}
    for name in names:
        alone = attempt(run, lambda fed, name=name: {name: function(fed).get(name)}, fed, mode)
        got[name] = alone if isinstance(alone, Failure) else alone[name]
    return got


def compiled(function: Callable[..., Any], mode: str, fed: Any) -> Callable[..., Any]:
    """Returns the function as the mode runs it, for arguments like `fed`."""
    if mode == "eager":
        return function
    program = tf.function(function, jit_compile=mode == "xla", autograph=False)
    return program if mode == "xla" else program.get_concrete_function(_with_any_rows(fed))


def _with_any_rows(fed: Any, name: str = "") -> Any:
    if isinstance(fed, dict):
        inside = name in ("weights", "parameters", "fixed")
        return {key: _with_any_rows(value, name if inside else key) for key, value in fed.items()}
    if isinstance(fed, list | tuple):
        return type(fed)(_with_any_rows(value, name) for value in fed)
    rows = [] if name in _WITHOUT_ROWS or not fed.shape.rank else [None]
    return tf.TensorSpec([*rows, *fed.shape[len(rows) :]], fed.dtype)


@contextmanager
def on(cell: Cell) -> Any:
    """Opens the cell's device alone, and its TF32 setting; restores the settings afterwards."""
    with tf32_enabled(cell.tf32), strictly_on(cell.device):
        yield


@contextmanager
def with_constants(values: Mapping[str, Any]) -> Any:
    """Sets constants of tfbp.manual to other values while open: {"halves.LEAST": 1}."""
    before = {name: _constant(name) for name in values}
    try:
        for name, value in values.items():
            setattr(before[name][0], name.partition(".")[2], value)
        yield
    finally:
        for name, (module, value) in before.items():
            setattr(module, name.partition(".")[2], value)


def _constant(name: str) -> tuple[Any, Any]:
    file, _, attribute = name.partition(".")
    module = import_module(f"tfbp.manual.{file}")
    return module, getattr(module, attribute)


_REMEMBERED: list[Any] = []


def remembered(function: Callable[..., Any]) -> Any:
    """Calls the function once for each set of arguments; the reference's results are remembered until `forget`."""
    cached = functools.cache(function)
    _REMEMBERED.append(cached)
    return cached


def forget() -> None:
    """Drops the reference's remembered results, because it has changed."""
    for cached in _REMEMBERED:
        cached.cache_clear()


def as_array(value: Any) -> Any:
    """Returns a tensor as an array; anything else unchanged."""
    return value.numpy() if tf.is_tensor(value) else value
