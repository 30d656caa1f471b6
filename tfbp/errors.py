"""The error for bad input, one sentence: the argument, what was given, what is accepted; checks of single values."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real


class InputError(ValueError):
    """Raised for every bad input: one sentence naming the argument, what was given and what is accepted."""

    ag_pass_through = True  # TensorFlow's AutoGraph would put a StagingError in its place
    _keras_call_info_injected = True  # and Keras a paragraph on the call that it was raised in


def check_choice(argument: str, value: object, accepted: Iterable[str], also: str = "") -> None:
    """Raise `InputError` unless `value` is one of the names in `accepted`."""
    names = list(accepted)
    if isinstance(value, str) and value in names:
        return
    lower = {name.lower(): name for name in names}
    close = get_close_matches(value.lower(), lower, n=1) if isinstance(value, str) else []
    hint = f" (did you mean {lower[close[0]]!r}?)" if close else ""
    alternatives = f", or {also}" if also else ""
    raise InputError(f"{argument}: got {value!r}{hint}; accepted: {', '.join(names)}{alternatives}.")


def check_count(argument: str, value: object) -> None:
    """Raise `InputError` unless the value is an integer of at least 1, of Python or of NumPy."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{argument}: got {value!r}; accepted: an integer of at least 1.")


def check_positive(argument: str, value: object) -> None:
    """Raise `InputError` unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise InputError(f"{argument}: got {value!r}; accepted: a finite number above 0.")
