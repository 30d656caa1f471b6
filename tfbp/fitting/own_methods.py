"""A model's own fit, evaluate or predict: called with what it takes, and what it calls by super() is this loop.

Many libraries prepare data in a fit of their own that ends in `super().fit(…)`: within `call`, that is `tfbp.fit`.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from tfbp.fitting.contract import KERAS, check_model, check_takes, own_method
from tfbp.fitting.keras_internals import TensorFlowTrainer

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")
# the models that are inside a method of their own, by id
_inside: ContextVar[frozenset[int]] = ContextVar("_inside", default=frozenset())
_lock = threading.Lock()
# how many calls there are at the moment, and what stood in the trainer before the first
_calls: list[int] = [0]
_before: dict[str, Any] = {}


def is_inside(model: Any) -> bool:
    """Whether a method of the model's own is running that was called by `call`: what it calls now is not itself."""
    return id(model) in _inside.get()


def call(model: Any, name: str, given: dict[str, Any], others: dict[str, Any], ours: dict[str, Any]) -> Any:
    """A model's own method of a name, with the arguments that differ from Keras's defaults, by name where it has such
    names.

    Args:
        given: Keras's arguments, with None for a missing x or y.
        others: arguments that Keras does not know.
        ours: the functions that `super()` reaches, by their names.
    """
    own = getattr(model, name)
    defaults = {each.name: each.default for each in inspect.signature(ours[name]).parameters.values()}
    differing = {each: value for each, value in given.items() if not _is_default(value, defaults[each])}
    names = inspect.signature(own).parameters
    data = [differing.pop(each) for each in ("x", "y") if each in differing and each not in names]
    with _reached(model, ours):
        return own(*data, **differing, **others)


def takes_keywords_of_the_model(
    reached: Callable[[], dict[str, Any]],
) -> Callable[[Callable[Arguments, Returned]], Callable[Arguments, Returned]]:
    """A function of this loop that also passes keywords which only the model's own method of that name has.

    The signature stays the function's: a type checker and `inspect.signature` know Keras's arguments alone, so that
    they find a misspelled one.

    Args:
        reached: returns the functions that `super()` reaches meanwhile, by their names.
    """

    def decorated(ours: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
        name, signature = ours.__name__, inspect.signature(ours)

        @functools.wraps(ours)
        def function(*arguments: Any, **options: Any) -> Any:
            others = {each: options.pop(each) for each in [*options] if each not in signature.parameters}
            if not others:
                return ours(*arguments, **options)
            bound = signature.bind(*arguments, **options)
            bound.apply_defaults()
            given = dict(bound.arguments)
            model = given.pop("model")
            check_model("model", model)
            own = own_method(model, name)
            if not own or is_inside(model):
                raise TypeError(f"{name}() got an unexpected keyword argument {min(others)!r}")
            of_keras = inspect.signature(KERAS[name]).parameters
            special = {each: given.pop(each) for each in [*given] if each not in of_keras}
            special = {each: value for each, value in special.items() if value is not None}
            check_takes(own, special)
            return call(model, name, given, {**special, **others}, reached())

        return function

    return decorated


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, bool | int | float | str) and value == default)


@contextmanager
def _reached(model: Any, ours: dict[str, Any]) -> Iterator[None]:
    with _lock:
        if not _calls[0]:
            for name, function in ours.items():
                _before[name] = vars(TensorFlowTrainer)[name]
                setattr(TensorFlowTrainer, name, _dispatching(function, _before[name]))
        _calls[0] += 1
    token = _inside.set(_inside.get() | {id(model)})
    try:
        yield
    finally:
        _inside.reset(token)
        with _lock:
            _calls[0] -= 1
            if not _calls[0]:
                for name, function in _before.items():
                    setattr(TensorFlowTrainer, name, function)
                _before.clear()


def _dispatching(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(theirs)
    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        return (ours if is_inside(self) else theirs)(self, *arguments, **options)

    return method
