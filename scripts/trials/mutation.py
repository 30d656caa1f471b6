#!/usr/bin/env python3
"""Plant mistakes in the three writings, one at a time, and show the harness's verdict on each.

The last lines count the mistakes: found, found at the right tensor, and with a right, an open or a misleading cause.
The exit status is 1 if a mistake was not found, a cause misleads or a harmless change was reported, 2 for bad input.
"""

import argparse
import itertools
import sys
from functools import partial

from planting.mistakes import HARMLESS, MISTAKES
from tfbp import InputError
from tfbp.console import cells, options
from tfbp.errors import check_count


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--only", default="", help="only the mutations with this in their name")
    parser.add_argument("--every", type=int, default=1, help="only every so-many-th (default: 1, all)")
    parser.add_argument("--first", type=int, default=1, help="where in the list the first one is (default: 1)")
    return options.run(parser, plant)


def plant(arguments: argparse.Namespace) -> int:
    check_count("every", arguments.every)
    check_count("first", arguments.first)
    chosen = [m for m in (*MISTAKES, *HARMLESS) if arguments.only in m.id]
    if not chosen:
        accepted = f"part of one, as {MISTAKES[0].id}"
        raise InputError(f"only: got {arguments.only!r}, which no mutation's name contains; accepted: {accepted}.")
    # the import of TensorFlow takes seconds: only from here on
    from rich.console import Console
    from rich.table import Table

    import tfbp.console.quiet_tensorflow  # noqa: F401
    from planting.judge import grade, judged, judged_at
    from tfbp.agreement import matrix
    from tfbp.agreement.problems import DTYPES

    console = Console()
    counts: dict[str, int] = {}
    failed = False
    for mistake in chosen[arguments.first - 1 :: arguments.every]:
        if mistake in HARMLESS:
            # nothing ends it early: a process of its own for each mode and dtype
            places = list(itertools.product(matrix.MODES, DTYPES))
            try:
                with cells.mapping(2, tasks_each=1) as map_over:
                    complaint = next(filter(None, map_over(partial(judged_at, mistake), places)), "")
            except cells.ProcessGone as gone:
                complaint = str(gone)
            words = ["harmless, and called so" if not complaint else "CALLED WRONG"]
            failed |= bool(complaint)
        else:
            complaint = judged(mistake)
            is_found, located, cause = grade(mistake, complaint)
            words = ["found" if is_found else "NOT FOUND", "located" if located else "elsewhere", f"cause {cause}"]
            failed |= not is_found or not located or cause == "misleading"
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        console.print(f"{mistake.id}: {', '.join(words)}", highlight=False, soft_wrap=True, markup=False)
        console.print(f"    {complaint or '–'}", highlight=False, soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("of", "count"):
        table.add_column(heading)
    for word, count in counts.items():
        table.add_row(word, str(count))
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
