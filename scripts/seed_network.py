#!/usr/bin/env python3
"""The 2-2-1 network this project starts from, as `tfbp seed` shows it: the listing, its mistake, the right gradient."""

import sys

from tfbp.commands.seed import main

if __name__ == "__main__":
    sys.exit(main())
