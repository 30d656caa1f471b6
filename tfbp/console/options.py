"""Reads every command's options and ends it: bad input in one sentence, with the option's name as typed."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from tfbp.errors import InputError, check_choice, likely, one_of

KINDS = {"int": "an integer", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """An argument parser with the error messages of `InputError`.

    Args:
        description: the command's description, with its line breaks.
        names: options with other names than the arguments in the package's errors, e.g.
            `{"units": "--layers"}`.
    """

    def __init__(self, description: str | None, names: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self._names = dict(names or {})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self._in_our_words(message)}\n")

    def typed(self, sentence: str) -> str:
        """Returns the sentence of an `InputError`, with the option instead of the argument's name."""
        argument, colon, rest = sentence.partition(":")
        option = self._names.get(argument) or f"--{argument.replace('_', '-')}"
        return f"{option}{colon}{rest}" if option in self._option_string_actions else sentence

    def _in_our_words(self, message: str) -> str:
        # an unknown option first: argparse reports it only if all else is right
        for option in (word.split("=")[0] for word in self._given if word.startswith("--")):
            if not any(action.startswith(option) for action in self._option_string_actions):
                return self._unknown(option)
        if match := re.fullmatch(r"argument (\S+): invalid (\w+) value: (.*)", message):
            return f"{match[1]}: got {match[3]}; accepted: {KINDS[match[2]]}."
        if match := re.fullmatch(r"argument (\S+): expected one argument", message):
            return f"{match[1]}: got nothing after it; accepted: one value."
        if match := re.fullmatch(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", message):
            names = match[3].replace("'", "").split(", ")
            return f"{match[1]}: got {match[2]}{likely(match[2].strip(chr(39)), names)}; accepted: {one_of(names)}."
        if match := re.fullmatch(r"unrecognized arguments: (\S+).*", message):
            return self._unknown(match[1].split("=")[0])
        if match := re.fullmatch(r"the following arguments are required: ([^,]*).*", message):
            missing = next(action for action in self._actions if match[1] in (action.dest, *action.option_strings))
            return f"{match[1]}: got none; accepted: {', '.join(missing.choices or [missing.help or 'see --help'])}."
        return message

    def _unknown(self, option: str) -> str:
        options = [action for action in self._option_string_actions if action.startswith("--")]
        if not option.startswith("-"):
            return f"{option}: got a word after all arguments; accepted: {one_of(options, '--help')}."
        hint = likely(option, options).replace("'", "")
        return f"{option}: got an unknown option{hint}; accepted: {one_of(options, '--help')}."


def run(parser: Parser, command: Callable[[argparse.Namespace], int], given: Sequence[str] | None = None) -> int:
    """Reads the options, runs the command, and returns the exit status: 2 for bad input, 130 for Ctrl-C."""
    arguments = parser.parse_args(given)
    try:
        return command(arguments)
    except InputError as error:
        print(parser.typed(str(error)), file=sys.stderr)
        return 2
    except Exception as error:
        if wanted := beyond_memory(error):
            print(f"memory: got {wanted}; accepted: {what_fits()}.", file=sys.stderr)
            return 2
        if not (operation := without_deterministic_kernel(error)):
            raise
        got = f"deterministic: got it where TensorFlow has no deterministic kernel ({operation})"
        print(parser.typed(f"{got}; accepted: a run without it, or on another device."), file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "stopped", file=sys.stderr)
        return 130


def without_deterministic_kernel(error: Exception) -> str:
    """Returns the operation that TensorFlow cannot run with determinism, because it has no such kernel; else "".

    An option or `tf.config.experimental.enable_op_determinism()` turns determinism on."""
    text = str(error)
    # by its name: TensorFlow is not imported here
    if type(error).__name__ != "UnimplementedError" or "determinis" not in text.lower():
        return ""
    found = re.search(r"implementation of (.+?)(?: op)?(?: is)? not (?:currently )?available", text)
    return found[1] if found else text.strip().splitlines()[0]


def beyond_memory(error: Exception) -> str:
    """Returns the array that was too large for memory, in NumPy's or TensorFlow's words; "" for any other error."""
    if isinstance(error, MemoryError):
        match = re.search(r"array with shape \([\d, ]+\) and data type \w+", str(error))
        return f"an {match[0]}" if match else "more than that"
    # by its name: TensorFlow is not imported here
    if type(error).__name__ != "ResourceExhaustedError":
        return ""
    match = re.search(r"tensor with shape ?\[[\d,]+\] and type \w+", str(error))
    return f"a {match[0]}" if match else "more than that"


def memory() -> int:
    """Returns the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def what_fits() -> str:
    return f"what fits into this machine's memory, {memory() / 2**30:,.0f} GiB"


def check_file(argument: str, path: str | None) -> None:
    """Raises `InputError` unless the file can be written: now, not only when there is something to write."""
    if path is None:
        return
    is_new = not os.path.exists(path)
    try:
        with open(path, "a"):
            pass
        if is_new:
            os.unlink(path)
    except OSError as error:
        raise InputError(
            f"{argument}: got {path!r} ({error.strerror}); accepted: a file that can be written."
        ) from None


def check_directory(argument: str, path: str | Path) -> None:
    """Raises `InputError` unless the directory exists or can be made, and files can be written in it."""
    tried = Path(path) / f".tried-{os.getpid()}"
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        tried.touch()
        tried.unlink()
    except OSError as error:
        raise InputError(
            f"{argument}: got {str(path)!r} ({error.strerror}); accepted: a directory that can be written."
        ) from None


def choices(argument: str, given: str, accepted: Iterable[str]) -> list[str]:
    """Returns the words of a comma-separated option.

    Raises:
        InputError: a word that is not accepted, or is there twice.
    """
    words = given.split(",")
    for word in words:
        check_choice(argument, word, accepted)
    if len(set(words)) < len(words):
        raise InputError(f"{argument}: got {given!r}; accepted: each name once.")
    return words


def part_of(argument: str, given: str, names: Iterable[str]) -> list[str]:
    """Returns the names that contain the option's value.

    Raises:
        InputError: no name contains it.
    """
    names = list(names)
    found = [name for name in names if given in name]
    if not found:
        # the parts of a name count too: part of a long name is unlike the whole
        parts = {part: part for name in names for part in (name, *re.split(r"[-_.]", name)) if len(part) > 2}
        hint = likely(given, parts)
        raise InputError(f"{argument}: got {given!r}, which no name contains{hint}; accepted: part of {one_of(names)}.")
    return found


def need(*packages: str) -> None:
    """Raises `InputError` unless the packages of `tfbp[scripts]` are installed."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(f"packages: got no {package}; accepted: an installation of 'tfbp[scripts]'.")


def run_file(argument: str, path: str) -> None:
    """Runs a Python file, which registers kinds.

    Raises:
        InputError: no such file.
    """
    if not Path(path).is_file():
        raise InputError(f"{argument}: got {path!r}; accepted: a Python file.")
    runpy.run_path(path, run_name=Path(path).stem)
