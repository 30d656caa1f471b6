"""How every command takes its options and ends: bad input in one sentence, with the option's name as it is typed."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, NoReturn

from tfbp.checks import InputError, check_choice

KINDS = {"int": "an integer", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in the words of `InputError`.

    Args:
        description: what the command does; its lines stay as they are.
        names: the options whose names differ from those of the arguments that the package complains of, e.g.
            `{"units": "--layers"}`.
    """

    def __init__(self, description: str | None, names: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self._names = dict(names or {})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self._in_our_words(message)}\n")

    def typed(self, sentence: str) -> str:
        """The sentence of an `InputError`, with the option as it is typed in place of the argument's name."""
        argument, colon, rest = sentence.partition(":")
        option = self._names.get(argument) or f"--{argument.replace('_', '-')}"
        return f"{option}{colon}{rest}" if option in self._option_string_actions else sentence

    def _in_our_words(self, message: str) -> str:
        if found := re.fullmatch(r"argument (\S+): invalid (\w+) value: (.*)", message):
            return f"{found[1]}: got {found[3]}; accepted: {KINDS[found[2]]}."
        if found := re.fullmatch(r"argument (\S+): expected one argument", message):
            return f"{found[1]}: got nothing after it; accepted: one value."
        if found := re.fullmatch(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", message):
            return f"{found[1]}: got {found[2]}; accepted: {found[3].replace(chr(39), '')}."
        if found := re.fullmatch(r"unrecognized arguments: (\S+).*", message):
            option = found[1].split("=")[0]
            options = [each for each in self._option_string_actions if each.startswith("--")]
            close = get_close_matches(option, options, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            return f"{option}: got an unknown option{hint}; accepted: {', '.join(options)}."
        if found := re.fullmatch(r"the following arguments are required: (.*)", message):
            return f"{found[1]}: got none; accepted: see --help."
        return message


def run(parser: Parser, command: Callable[[argparse.Namespace], int], given: Sequence[str] | None = None) -> int:
    """Read the options, do what is asked, and give the exit status: 2 for bad input, 130 for Ctrl-C."""
    arguments = parser.parse_args(given)
    try:
        return command(arguments)
    except InputError as error:
        print(parser.typed(str(error)), file=sys.stderr)
        return 2
    except Exception as error:
        if not (operation := without_deterministic_kernel(error)):
            raise
        got = f"deterministic: got it where TensorFlow has no deterministic kernel ({operation})"
        print(parser.typed(f"{got}; accepted: a run without it, or on another device."), file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "stopped", file=sys.stderr)
        return 130


def without_deterministic_kernel(error: Exception) -> str:
    """The operation that TensorFlow refuses to run while determinism is asked for, by an option or by
    `tf.config.experimental.enable_op_determinism()`, for it has no such kernel; empty for any other error."""
    said = str(error)
    # by its name: TensorFlow is not imported here
    if type(error).__name__ != "UnimplementedError" or "determinis" not in said.lower():
        return ""
    found = re.search(r"implementation of (.+?)(?: op)?(?: is)? not (?:currently )?available", said)
    return found[1] if found else said.strip().splitlines()[0]


def choices(argument: str, given: str, accepted: Iterable[str]) -> list[str]:
    """The words of a comma-separated option.

    Raises:
        InputError: one that is not accepted.
    """
    words = given.split(",")
    for word in words:
        check_choice(argument, word, accepted)
    return words


def need(*packages: str) -> None:
    """Raise `InputError` unless what the commands need beside the package is there."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(f"packages: got no {package}; accepted: an installation of 'tfbp[scripts]'.")
