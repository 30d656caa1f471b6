#!/usr/bin/env python3
"""Train one network by several writings as `tfbp train` does: same parameters, same batches, shared charts."""

import sys

from tfbp.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
