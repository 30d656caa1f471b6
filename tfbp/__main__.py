"""`tfbp …` and `python -m tfbp …`: the commands, by name.

    tfbp train         trains a network on real data by all three writings
    tfbp agree         compares the three writings, and tfbp.layers, in every dtype and execution mode; or checks
                       your own Keras model
    tfbp gradients     checks the gradient of any function
    tfbp seed          shows the published 2-2-1 example and its mistake
    tfbp audit         bounds the ε of a private training run from below
    tfbp gpu-report    measures on a GPU, and writes one page

`tfbp train --help` and so on list the options.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import tfbp
from tfbp.errors import InputError, check_choice

COMMANDS = {
    "train": "tfbp.commands.train",
    "agree": "tfbp.commands.agree",
    "gradients": "tfbp.commands.gradients",
    "seed": "tfbp.commands.seed",
    "audit": "tfbp.commands.audit",
    "gpu-report": "tfbp.commands.gpu_report",
}
# earlier names that still work
EARLIER_NAMES = {"check": "agree"}


def main(given: Sequence[str] | None = None) -> int:
    """Runs the command of the first word; returns the exit status, 2 for bad input."""
    try:
        try:
            return _run(given)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as in `tfbp --help | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(given: Sequence[str] | None) -> int:
    name, *rest = (sys.argv[1:] if given is None else given) or ["--help"]
    if name in ("-h", "--help"):
        print(__doc__.replace("`", "").strip())
        return 0
    if name == "--version":
        print(f"tfbp {tfbp.__version__}")
        return 0
    if name in EARLIER_NAMES:
        print(f"tfbp {name} is tfbp {EARLIER_NAMES[name]} now.", file=sys.stderr)
        name = EARLIER_NAMES[name]
    try:
        check_choice("command", name, [*COMMANDS, "--help", "--version"])
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return int(import_module(COMMANDS[name]).main(rest))


if __name__ == "__main__":
    sys.exit(main())
