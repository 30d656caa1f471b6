"""A model's own fit, evaluate or predict: called with what it takes, and what it calls by super() is this loop.

Many libraries prepare data in a fit of their own that ends in `super().fit(…)`: meanwhile, that is `tfbp.fit`.
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
    """Whether a method of the model's own is running that was called here: what it calls now is not itself."""
    return id(model) in _inside.get()


def by_the_model_s_own(
    reached: Callable[[], dict[str, Any]],
) -> Callable[[Callable[Arguments, Returned]], Callable[Arguments, Returned]]:
    """A function of this loop that calls the model's own method of that name where it has one, as it was called itself:
    nothing is added, so that the method's own defaults hold, and keywords may be such as only it has.

    The signature stays the function's: a type checker and `inspect.signature` know Keras's arguments alone, so that
    they find a misspelled one.

    Args:
        reached: returns the functions that `super()` reaches meanwhile, by their names.
    """

    def decorated(ours: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
        name = ours.__name__
        parameters = inspect.signature(ours).parameters.values()
        places = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        # x and y go by their places, as they came; Keras's other arguments by their names
        first = 1 + sum(place in ("x", "y") for place in places)
        special = [place for place in places[1:] if place not in inspect.signature(KERAS[name]).parameters]

        @functools.wraps(ours)
        def function(*arguments: Any, **options: Any) -> Any:
            model = arguments[0] if arguments else options.get("model")
            check_model("model", model)
            own = own_method(model, name)
            if not own or is_inside(model) or len(arguments) > len(places):
                return ours(*arguments, **options)
            options = {**dict(zip(places[first:], arguments[first:], strict=False)), **options}
            options.pop("model", None)
            for option in special:
                if options.get(option, 0) is None:
                    del options[option]
            check_takes(own, {option: options[option] for option in special if option in options})
            with _reached(model, reached()):
                return own(*arguments[1:first], *_by_place(own, options), **options)

        return function

    return decorated


def _by_place(own: Any, options: dict[str, Any]) -> list[Any]:
    """Takes x and y out of some keywords where a method has other names for them."""
    parameters = inspect.signature(own).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    found = [options.pop(letter) for letter in ("x", "y") if letter in options and letter not in known]
    return [data for data in found if data is not None]


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
