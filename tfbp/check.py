"""`python -m tfbp.check …`: the earlier name of `tfbp gradients …`."""

import sys

from tfbp.__main__ import main

if __name__ == "__main__":
    print("python -m tfbp.check is tfbp gradients now.", file=sys.stderr)
    sys.exit(main(["gradients", *sys.argv[1:]]))
