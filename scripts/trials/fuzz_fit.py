#!/usr/bin/env python3
"""Train random models with random options by tfbp.fit and by keras.Model.fit, and compare.

The script compares the history, the weights, the optimizer's variables, the calls of callbacks, evaluate and predict:
to the last bit without XLA, to a relative 1e-4 with XLA. If Keras raises an error, tfbp must raise one too. Hypothesis
draws the cases, and reduces a case that differs. The exit status is 0 if all cases agree, 1 otherwise, 2 for bad input.
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
    parser.add_argument("--seed", type=int, default=0, help="of the draws: the same cases each time (default: 0)")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    return options.run(parser, fuzz)


def fuzz(arguments: argparse.Namespace) -> int:
    check_count("count", arguments.count)
    if arguments.seed < 0:
        raise InputError(f"seed: got {arguments.seed}; accepted: an integer of at least 0.")
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    from hypothesis import HealthCheck, Verbosity, given, seed, settings, strategies

    from fuzzing import fit_cases

    tried, differing = [], []

    @seed(arguments.seed)
    @settings(
        max_examples=arguments.count,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.data())
    def alike(data: strategies.DataObject) -> None:
        case = fit_cases.Case(data=data)
        difference = fit_cases.difference(case)
        tried.append(case)
        if arguments.verbose:
            print(f"{case}: {difference or 'alike'}", flush=True)
        if difference is not None:
            differing.append(f"{case}: {difference}")
            raise AssertionError(difference)

    try:
        alike()
    except AssertionError:
        # the last is the smallest
        print(differing[-1])
    refused = sum(bool(case.refused) for case in tried)
    print(f"{len(tried)} cases; {'one differs' if differing else 'none differs'}; {refused} that Keras refuses.")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
