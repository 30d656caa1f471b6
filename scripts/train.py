#!/usr/bin/env python3
"""Train one network by several writings as `tfbp train` does: the same parameters, batches and charts."""

import sys

from tfbp.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
