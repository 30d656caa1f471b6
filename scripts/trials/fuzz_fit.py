#!/usr/bin/env python3
"""Train random models with random options by tfbp.fit and by keras.Model.fit, and compare.

Without XLA, the history, the weights, the optimizer's variables, the calls of callbacks, evaluate and predict are to be
Keras's to the last bit; with XLA, to a relative 1e-4. What Keras refuses, tfbp is to refuse. A case follows from its
number: `--seed 17 --count 1` is case 17 again. The exit status is 0 when all are alike, 1 when one is not, 2 for bad
input.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfbp.console import options
from tfbp.errors import InputError, check_count


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--count", type=int, default=40, help="how many cases (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="the first case's number (default: 0)")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    return options.run(parser, fuzz)


def fuzz(arguments: argparse.Namespace) -> int:
    check_count("count", arguments.count)
    if not 0 <= arguments.seed <= 2**32 - arguments.count:
        raise InputError(
            f"seed: got {arguments.seed}; accepted: 0 to {2**32 - arguments.count}, for 32 bits seed Keras."
        )
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    from fuzzing.fit_cases import case_of, difference

    differing = refused = 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        case = case_of(seed)
        found = difference(case)
        refused += "refused" in case.notes
        differing += found is not None
        if found is not None or arguments.verbose:
            print(f"{case}: {found or 'alike'}", flush=True)
    print(f"{arguments.count} cases; {differing} differ; {refused} that Keras refuses.")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
