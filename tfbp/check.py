"""`python -m tfbp.check package.module:function --inputs 4x7,7x5`: is the gradient of a function right?

`tfbp check` is another command: it shows that the house's own three writings agree.
"""

from __future__ import annotations

import sys

from tfbp.commands.check_gradients import main

if __name__ == "__main__":
    sys.exit(main())
