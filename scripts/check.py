#!/usr/bin/env python3
"""Shows whether the three writings, and everything built on them, agree, as `tfbp agree` does."""

import sys

from tfbp.commands.agree import main

if __name__ == "__main__":
    sys.exit(main())
