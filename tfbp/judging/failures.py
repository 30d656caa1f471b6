"""Represents an exception as a finding, with the line that raised it."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_OTHERS = ("site-packages", "dist-packages", "/lib/python", "<", "/tfbp/judging/", "/tfbp/checking/")
_FILE_AND_LINE = r'File "([^"]+)", line (\d+)'
_CHATTER = ("in user code:", "Graph execution error:", "Detected at node", "File ", "<stack", "Stack trace")


@dataclass(frozen=True)
class Failure:
    """An exception in one sentence: its text, and the innermost line outside libraries; and that line alone."""

    sentence: str
    line: str = ""


def attempt(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Returns function(*arguments), or the `Failure` of its exception.

    Example:
        >>> attempt(lambda a: a + 1, 1)
        2
        >>> attempt(lambda a: a + 1, None).sentence.startswith("TypeError: unsupported operand type(s) for +")
        True
    """
    try:
        return function(*arguments, **named)
    except Exception as error:  # every error is a finding
        return failure(error)


def failure(error: Exception) -> Failure:
    """Returns the `Failure` of a caught exception."""
    lines = [line.strip() for line in str(error).splitlines()]
    what = next((line for line in lines if line and not line.startswith(_CHATTER)), "")
    what = re.sub(r"\{\{function_node [^}]*\}\} | name:$", "", what)
    sentence = f"{type(error).__name__}: {what[:200]}" if what else type(error).__name__
    # TensorFlow puts the operation's name at the end
    operation = re.search(r"\[Op:(\w+)\]", str(error))
    if operation and operation[0] not in sentence:
        sentence += f" {operation[0]}"
    # the message of a graph that fails at run time contains the lines of its nodes
    places = re.findall(_FILE_AND_LINE, str(error))
    in_message = [traceback.FrameSummary(file, int(number), "") for file, number in places]
    for frame in reversed([*traceback.extract_tb(error.__traceback__), *in_message]):
        if not any(other in frame.filename for other in _OTHERS):
            line = (linecache.getline(frame.filename, frame.lineno or 0) or frame.line or "").strip()
            place = "/".join(frame.filename.split("/")[-2:])
            return Failure(f"{sentence}, raised at {place}:{frame.lineno}, {line}", line)
    return Failure(sentence)
