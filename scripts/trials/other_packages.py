#!/usr/bin/env python3
"""Train models of other packages by Keras's fit and by tfbp.fit; compare the bits of the weights, and the times.

The packages need an environment of their own, with tfbp on its path:

    python3 -m venv packages
    packages/bin/pip install tensorflow==2.21.0 keras==3.15.1 bayesflow==2.0.12 keras-tuner==1.4.8 scikeras==0.13.0 \
        keras-rs==0.4.0 hgq2==0.2.0
    packages/bin/pip install tensorboard pyyaml
    packages/bin/pip install --no-deps keras-hub==0.32.0 kagglehub kagglesdk tokenizers regex
    PYTHONPATH=. packages/bin/python scripts/trials/other_packages.py

The script builds every model twice from one seed, as its package compiles it, and trains both with shuffle=False. The
first fit traces. Then the ways take turns, and the result is the median time of an epoch. If a weight differs, two
runs of Keras's fit are compared with each other. The exit status is 1 if those agree and tfbp's weights differ.
"""

import argparse
import sys

from tfbp.console import options
from tfbp.errors import check_count


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--only", default="", help="only trials with this in their name or package")
    parser.add_argument("--rounds", type=int, default=5, help="timed fits of each (default: 5)")
    return options.run(parser, compare)


def compare(arguments: argparse.Namespace) -> int:
    check_count("rounds", arguments.rounds)
    from package_models import run

    return run(arguments.only, arguments.rounds)


if __name__ == "__main__":
    sys.exit(main())
