#!/usr/bin/env python3
"""Measure what needs a GPU, and write one JSON file and one page, as `tfbp gpu-report` does."""

import sys

from tfbp.commands.gpu_report import main

if __name__ == "__main__":
    sys.exit(main())
