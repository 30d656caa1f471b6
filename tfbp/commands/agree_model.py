"""Runs `tfbp agree --model FILE --data FILE`: compares a saved Keras model with the reference, layer by layer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tfbp.console.options import check_file
from tfbp.errors import InputError

# options of the matrix, which do not apply to a model
_OF_THE_MATRIX = ("case", "layers", "processes", "rehearse")


def agree_model(arguments: argparse.Namespace, dtypes: list[str], modes: list[str]) -> int:
    """Returns the exit status: 0 without a finding, 1 with one."""
    for name in _OF_THE_MATRIX:
        if getattr(arguments, name):
            raise InputError(f"{name}: got {getattr(arguments, name)!r} beside --model; accepted: none of it there.")
    if arguments.data is None:
        raise InputError("data: got none; accepted: an .npz file with x, or x0, x1, …, and y, or y0, y1, …")
    check_file("json", arguments.json)
    check_file("html", arguments.html)
    x, y = data_of(arguments.data)
    if not str(arguments.model).endswith((".keras", ".h5")) or not Path(arguments.model).is_file():
        raise InputError(f"model: got {arguments.model!r}; accepted: a .keras file.")

    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
    from tfbp.agreement.of_models import change
    from tfbp.agreement.of_models.api import agree

    before = None if arguments.compare is None else change.read(arguments.compare)
    model = loaded(arguments.model)
    with _Bar() as bar:
        report = agree(
            model, x, y, loss=arguments.loss, dtypes=dtypes, modes=modes, device=arguments.device, progress=bar.show
        )
    print(report)
    if before is not None:
        print(*(report.changes(before) or ["nothing is another than before"]), sep="\n")
    if arguments.json:
        Path(arguments.json).write_text(report.to_json() + "\n")
    if arguments.html:
        Path(arguments.html).write_text(report.to_html())
    return 0 if report.agrees else 1


def data_of(path: str) -> tuple[Any, Any]:
    """Returns x and y of an .npz file: arrays, or lists of x0, x1, … where there are several; y may be None.

    Raises:
        InputError: a missing file, or one without x.
    """
    import numpy as np

    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"data: got {path!r} ({type(error).__name__}); accepted: an .npz file.") from None
    data = []
    for letter in "xy":
        several = sorted(
            (name for name in arrays if name[0] == letter and name[1:].isdigit()), key=lambda n: int(n[1:])
        )
        data.append(arrays.get(letter, [arrays[name] for name in several] or None))
    if data[0] is None:
        raise InputError(f"data: got {path!r} with {sorted(arrays)}; accepted: x, or x0, x1, …, and y, or y0, y1, …")
    return data[0], data[1]


def loaded(path: str) -> Any:
    """Returns the model in a file.

    Raises:
        InputError: a file that Keras cannot load.
    """
    import warnings

    import keras

    try:
        with warnings.catch_warnings():
            # the check needs no optimizer, and Keras warns about that of a model saved before its first step
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(path)
    except Exception as error:  # loading may run any code
        sentence = (str(error).splitlines() or [""])[0]
        raise InputError(f"model: got {path!r}, {type(error).__name__}: {sentence}; accepted: a .keras file.") from None


class _Bar:
    """Shows a progress bar on the terminal."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        # in a file the bar would be an empty line
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        self._task = self._bar.add_task("", total=1.0)
        return self

    def show(self, share: float, what: str) -> None:
        self._bar.update(self._task, completed=share, description=what)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
