#!/usr/bin/env python3
"""Measures speed and agreement on a GPU, and writes one JSON file and one page, as `tfbp gpu-report` does."""

import sys

from tfbp.commands.gpu_report import main

if __name__ == "__main__":
    sys.exit(main())
