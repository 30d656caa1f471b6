"""Loads texts as windows of characters, with the next character at each position. T characters of a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfbp.datasets import Dataset
from tfbp.errors import InputError, check_count

# characters of Python's own text: enough to learn words, and few enough for the reference
CHARACTERS = 100_000
VALIDATES = 10  # every tenth window validates


def load(path: str | None = None, context: int = 64) -> Dataset:
    """Returns a text's windows: x (N, T) are the numbers of characters, labels (N, T) those of the next characters.

    The last tenth of the windows validates. A character's number is its place in `Dataset.characters`.

    Args:
        path: a file of UTF-8 text; None for the first 100,000 characters of the language reference that comes with
            Python (`pydoc_data.topics`), which needs no download and differs a little from version to version.
        context: T, at least 1.

    Raises:
        InputError: a file that is not a text or cannot be read, or too short for two windows.

    Example:
        >>> text = load(context=32)
        >>> text.x_train.shape[1:], "".join(text.characters[i] for i in text.x_train[0, :20])
        ((32,), 'The "assert" stateme')
    """
    check_count("context", context)
    text = _python_s() if path is None else _read(path)
    windows = (len(text) - 1) // context
    if windows < 2:
        raise InputError(f"text: got {len(text)} characters; accepted: at least {2 * context + 1}, for two windows.")
    characters = "".join(sorted(set(text)))
    numbers = np.searchsorted(np.array(list(characters)), np.array(list(text)))
    x, labels = (numbers[start : start + windows * context].reshape(windows, context) for start in (0, 1))
    trains = windows - max(windows // VALIDATES, 1)
    x = x.astype(np.int32)
    return Dataset("text", x[:trains], labels[:trains], x[trains:], labels[trains:], (context,), characters)


def _python_s() -> str:
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip() for name in sorted(topics))[:CHARACTERS]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        reason = str(error.strerror)
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    raise InputError(f"text: got {path!r} ({reason}); accepted: a file of UTF-8 text.")
