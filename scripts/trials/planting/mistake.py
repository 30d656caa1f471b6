"""What a planted mistake is: a function, an expression or a statement of it, and what stands there instead."""

from __future__ import annotations

from typing import NamedTuple


class Mistake(NamedTuple):
    """One mistake, where a complaint has to lay it, and what may be said of its cause.

    Attributes:
        id: its name, the writing first: manual-bias-a-mean.
        function: below tfbp, e.g. manual.dense.dense_backward; a method by its class.
        old: an expression or a statement that the function holds once; comments and spaces do not count.
        new: what stands there instead; of a statement, any number of them.
        where: what a complaint's place has to hold, the tensor and the writing.
        cause: a regular expression for what may be said of the cause; "" where the numbers do not show it, and silence
            is right.
        needs: "graph", "xla" or a dtype, where it shows there alone; "" where it shows eagerly in float64.
    """

    id: str
    function: str
    old: str
    new: str
    where: str = ""
    cause: str = ""
    needs: str = ""

    @property
    def room(self) -> str:
        """manual, tape, reference, layers, …"""
        return self.function.partition(".")[0]


Row = tuple[str, ...]


def of(writing: str, file: str, rows: dict[str, Row]) -> list[Mistake]:
    """The mistakes of a file: by name, the function in it, old, new, where, cause and what it needs."""
    return [
        Mistake(f"{writing}-{name}", f"{writing}.{file}.{function}", *row) for name, (function, *row) in rows.items()
    ]
