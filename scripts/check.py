#!/usr/bin/env python3
"""Show that the three writings, and what is built on them, agree, as `tfbp agree` does."""

import sys

from tfbp.commands.agree import main

if __name__ == "__main__":
    sys.exit(main())
