"""The error for bad input, one sentence: the argument, its value, the accepted values; checks of single values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real

# the largest number of characters of an error's sentence, three lines of a terminal
LONGEST = 240
# the largest numbers of characters of a value in it, and of a list of names
LONGEST_VALUE, LONGEST_LIST = 60, 120


class InputError(ValueError):
    """Raised for every bad input: one sentence with the argument, its value and the accepted values.

    A sentence of more than 240 characters is shortened: first the value, then the list of accepted values.

    Example:
        >>> len(str(InputError(f"x: got {'1' * 500}; accepted: {', '.join(map(str, range(500)))}.")))
        237
    """

    ag_pass_through = True  # else TensorFlow's AutoGraph raises a StagingError instead
    _keras_call_info_injected = True  # else Keras adds a paragraph on the layer's call

    def __init__(self, sentence: str = "") -> None:
        super().__init__(_shortened(sentence))


def one_of(names: Iterable[str], see: str = "") -> str:
    """Returns the accepted names for a sentence: all of a short list, else the first ones, their number, and `see`.

    Example:
        >>> one_of(["relu", "tanh"]), one_of([f"layer_{number}" for number in range(50)])[-31:]
        ('relu, tanh', ' layer_7, layer_8 and 41 others')
    """
    names = list(names)
    if len(whole := ", ".join(names)) <= LONGEST_LIST:
        return whole
    room = LONGEST_LIST * 2 // 3
    first: list[str] = []
    while len(", ".join([*first, names[len(first)]])) <= room:
        first.append(names[len(first)])
    return f"{', '.join(first)} and {len(names) - len(first)} others{f', see {see}' if see else ''}"


def likely(value: object, names: Iterable[str]) -> str:
    """Returns " (did you mean 'relu'?)" with the name that is most like the value; empty if none is.

    Example:
        >>> likely("Relu6", ["relu", "relu6"]), likely("softsigm", ["tanh", "softsign"]), likely("x", ["tanh"])
        (" (did you mean 'relu6'?)", " (did you mean 'softsign'?)", '')
    """
    if not isinstance(value, str):
        return ""
    lower = {name.lower(): name for name in names}
    close = get_close_matches(value.lower(), lower, n=1)
    return f" (did you mean {lower[close[0]]!r}?)" if close else ""


def check_choice(argument: str, value: object, accepted: Iterable[str], also: str = "", see: str = "") -> None:
    """Raises `InputError` unless `value` is one of the names in `accepted`; `see` is the place of a long list."""
    names = list(accepted)
    if isinstance(value, str) and value in names:
        return
    alternatives = f", or {also}" if also else ""
    raise InputError(f"{argument}: got {value!r}{likely(value, names)}; accepted: {one_of(names, see)}{alternatives}.")


def _shortened(sentence: str) -> str:
    """Returns the sentence within LONGEST characters: one line, without addresses.

    A long value is cut in the middle, a long list at its end."""
    sentence = re.sub(r"( object)? at 0x[0-9a-f]+", "", sentence)
    sentence = " ".join(sentence.split()) if len(sentence) > LONGEST else sentence
    if len(sentence) <= LONGEST:
        return sentence
    start, got, rest = sentence.partition(": got ")
    given, accepted, end = rest.rpartition("; accepted: ")
    room = max(LONGEST_VALUE, LONGEST - len(start + got + accepted + end))
    if len(given) > room:
        half = (room - 3) // 2
        given = f"{given[:half]} … {given[-half:]}"
    sentence = start + got + given + accepted + end
    if len(sentence) <= LONGEST:
        return sentence
    cut = sentence[: LONGEST - 2]
    return cut[: max(cut.rfind(", "), LONGEST // 2)] + ", …"


def check_count(argument: str, value: object) -> None:
    """Raises `InputError` unless the value is an integer of at least 1, of Python or of NumPy."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{argument}: got {value!r}; accepted: an integer of at least 1.")


def check_integer(argument: str, value: object) -> None:
    """Raises `InputError` unless the value is an integer, of Python or of NumPy."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{argument}: got {value!r}; accepted: an integer.")


def check_positive(argument: str, value: object) -> None:
    """Raises `InputError` unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise InputError(f"{argument}: got {value!r}; accepted: a finite number above 0.")
