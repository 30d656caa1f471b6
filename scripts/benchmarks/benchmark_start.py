#!/usr/bin/env python3
"""Time the answer of every command to --help and to an unknown option.

Each `tfbp …` and each script runs in its own process, in turns. The result is the minimum of some rounds. The exit
status is 0, 1 if a command does not answer, 2 for bad input.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tfbp.__main__ import COMMANDS
from tfbp.console import options
from tfbp.errors import check_count

SCRIPTS = Path(__file__).parents[1]
# the command line, and the exit status
ASKED = {"--help": 0, "--no-such-option": 2}


def commands() -> dict[str, list[str]]:
    """Returns the commands, by the name in the table."""
    arguments = {"tfbp": ["-m", "tfbp"]}
    arguments |= {f"tfbp {name}": ["-m", "tfbp", name] for name in COMMANDS}
    patterns = ("*.py", "benchmarks/benchmark*.py", "trials/*.py")
    return arguments | {path.name: [str(path)] for pattern in patterns for path in sorted(SCRIPTS.glob(pattern))}


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--only", default="", help="only those with this in their name")
    parser.add_argument("--rounds", type=int, default=5, help="of each (default: 5)")
    return options.run(parser, benchmark)


def benchmark(arguments: argparse.Namespace) -> int:
    check_count("rounds", arguments.rounds)
    chosen = {name: commands()[name] for name in options.part_of("only", arguments.only, commands())}
    seconds: dict[tuple[str, str], list[float]] = {}
    failed = set()
    for _ in range(arguments.rounds):
        for name, command in chosen.items():
            for asked, status in ASKED.items():
                start = time.perf_counter()
                ran = subprocess.run([sys.executable, *command, asked], capture_output=True, cwd=SCRIPTS.parent)
                seconds.setdefault((name, asked), []).append(time.perf_counter() - start)
                if ran.returncode != status:
                    failed.add(f"{name} {asked}: status {ran.returncode}")
    width = max(map(len, chosen))
    print(f"{'seconds':<{width}}", *(f"{asked:>16}" for asked in ASKED))
    for name in chosen:
        print(f"{name:<{width}}", *(f"{min(seconds[name, asked]):>16.2f}" for asked in ASKED))
    slowest = max(seconds, key=lambda way: min(seconds[way]))
    print(f"The slowest: {' '.join(slowest)}, {min(seconds[slowest]):.2f} s.")
    print(*sorted(failed), sep="\n", end="\n" if failed else "")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
