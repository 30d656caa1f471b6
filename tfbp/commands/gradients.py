"""Checks the gradient of any function: a tf.custom_gradient, a Keras layer or loss, or any function of tensors.

Inputs are drawn at random: 4x7 is a float tensor of that shape, scalar one number, and 9:5 nine integers below 5, for
labels. The exit status is 0 when the gradients agree, 1 with a finding, 2 for bad input.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

from tfbp.commands.agree import DTYPES, MODES
from tfbp.console.options import Parser, check_file, choices, need, run
from tfbp.errors import InputError

if TYPE_CHECKING:
    from tfbp.checking.report import Report

NAMED = ("function", "oracle", "reference")
ACCEPTED = "accepted: package.module:function, which can be imported from here"


def parser() -> Parser:
    parser = Parser(__doc__, names={"dtypes": "--dtype", "modes": "--mode"}, prog="tfbp gradients")
    parser.add_argument("function", help="package.module:function; a layer or a loss has to be an instance")
    parser.add_argument("--inputs", required=True, help="comma-separated shapes, e.g. 4x7,7x5,5")
    parser.add_argument("--oracle", help="package.module:function, a twin that autodiff differentiates")
    parser.add_argument("--reference", help="package.module:function, a twin in NumPy")
    parser.add_argument("--dtype", default="float64,float32", help=f"of {','.join(DTYPES)} (default: float64,float32)")
    parser.add_argument("--mode", default=",".join(MODES), help="comma-separated (default: eager,graph,xla)")
    parser.add_argument("--device", help="cpu or gpu (default: TensorFlow's choice)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of inputs and upstream gradients (default: 0)")
    parser.add_argument("--second-order", action="store_true", help="check second derivatives and forward mode too")
    parser.add_argument("--auto-perturb", action="store_true", help="change a test point that cannot show a mistake")
    parser.add_argument("--constants", default="", help="comma-separated names of inputs that are data")
    parser.add_argument("--json", metavar="FILE", help="write the report to FILE")
    parser.add_argument("--junit", metavar="FILE", help="write the report to FILE as JUnit's XML, for a CI server")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    return run(parser(), gradients, given)


def gradients(arguments: argparse.Namespace) -> int:
    dtypes, modes = choices("dtype", arguments.dtype, DTYPES), choices("mode", arguments.mode, MODES)
    if arguments.seed < 0:
        raise InputError(f"seed: got {arguments.seed}; accepted: an integer of at least 0.")
    inputs = drawn(arguments.inputs, arguments.seed)
    for argument in ("json", "junit"):
        check_file(argument, getattr(arguments, argument))
    for argument in NAMED:
        in_module(argument, getattr(arguments, argument))
    need("rich")

    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
    from tfbp.checking.api import check_gradients

    named = {name: imported(name, getattr(arguments, name)) for name in NAMED}
    with _Bar() as bar:
        report = check_gradients(
            **named,
            inputs=inputs,
            dtypes=dtypes,
            modes=modes,
            device=arguments.device,
            seed=arguments.seed,
            second_order=arguments.second_order,
            auto_perturb=arguments.auto_perturb,
            constants=[name for name in arguments.constants.split(",") if name],
            progress=bar.show,
        )
    print(report)
    if arguments.json:
        Path(arguments.json).write_text(report.to_json() + "\n")
    if arguments.junit:
        Path(arguments.junit).write_text(junit(report))
    return 0 if report.agrees else 1


def drawn(words: str, seed: int) -> list[Any]:
    """Returns the inputs that the words describe.

    Example:
        >>> [(each.shape, each.dtype.name) for each in drawn("4x7,scalar,9:5", 0)]
        [((4, 7), 'float64'), ((), 'float64'), ((9,), 'int64')]
    """
    import numpy as np

    rng, found = np.random.default_rng(seed), []
    for word in words.split(","):
        parts = re.fullmatch(r"(scalar|[1-9]\d*(?:x[1-9]\d*)*)(?::([1-9]\d*))?", word.strip())
        if not parts:
            raise InputError(f"inputs: got {word!r}; accepted: shapes as 4x7, scalar, or 9:5 for integers below 5.")
        shape = () if parts[1] == "scalar" else tuple(int(size) for size in parts[1].split("x"))
        found.append(np.asarray(rng.integers(0, int(parts[2]), shape) if parts[2] else rng.normal(size=shape)))
    return found


def in_module(argument: str, words: str | None) -> tuple[str, str]:
    """Splits `package.module:function`; finds the package without an import.

    Raises:
        InputError: words of another form, or a missing package.
    """
    if words is None:
        return "", ""
    module, _, path = words.partition(":")
    if not (module and path):
        raise InputError(f"{argument}: got {words!r}; {ACCEPTED}.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    package = module.partition(".")[0]
    if not package or (package not in sys.modules and importlib.util.find_spec(package) is None):
        raise InputError(f"{argument}: got {words!r}, and there is no package {package!r}; {ACCEPTED}.")
    return module, path


def imported(argument: str, words: str | None) -> Any:
    """Returns the function that `package.module:function` names."""
    if words is None:
        return None
    module, path = in_module(argument, words)
    try:
        value: Any = importlib.import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
    except Exception as error:  # an import may run any code
        said = str(error).splitlines() or [""]
        given = f"{words!r}, {type(error).__name__}: {said[0]}"
        raise InputError(f"{argument}: got {given}; {ACCEPTED}.") from None
    return value


def junit(report: Report) -> str:
    """Returns the report as a test suite: one case for each argument and dtype, failed where there is a finding."""
    sentences: dict[tuple[str, str], list[str]] = {}
    for dtype, arguments in report.visible.items():
        sentences.update({(argument, dtype): [] for argument in arguments})
    for finding in report.findings:
        for dtype in finding.dtype.split(", "):
            sentences.setdefault((finding.argument, dtype), []).append(str(finding))
    failures = sum(bool(said) for said in sentences.values())
    suite = ElementTree.Element("testsuite", name=report.name, tests=str(len(sentences)), failures=str(failures))
    for (argument, dtype), said in sentences.items():
        case = ElementTree.SubElement(suite, "testcase", classname=report.name, name=f"{argument} {dtype}")
        for sentence in said:
            ElementTree.SubElement(case, "failure", message=sentence).text = sentence
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


class _Bar:
    """Shows a progress bar on the terminal, from the third second on."""

    def __enter__(self) -> _Bar:
        self._start, self._bar, self._task = time.monotonic(), cast(Any, None), cast(Any, None)
        return self

    def show(self, share: float, what: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        if self._bar is None and time.monotonic() - self._start > 2:
            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(what, total=1.0)
        if self._bar is not None:
            self._bar.update(self._task, completed=share, description=what)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
