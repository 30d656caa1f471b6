"""A planted mistake: a function, an expression or a statement of it, and the replacement."""

from __future__ import annotations

from typing import NamedTuple


class Mistake(NamedTuple):
    """One mistake, its place in a complaint, and the causes that a complaint may name.

    Attributes:
        id: its name, the writing first: manual-bias-a-mean.
        function: below tfbp, e.g. manual.dense.dense_backward; a method by its class.
        old: an expression or a statement that the function holds once; comments and spaces do not count.
        new: the replacement; for a statement, any number of statements.
        where: part of a complaint's place, the tensor and the writing.
        cause: a regular expression for the cause; "" if the numbers do not show it, and silence
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
    """Returns the mistakes of a file: by name, the function in it, old, new, where, cause and what it needs."""
    return [
        Mistake(f"{writing}-{name}", f"{writing}.{file}.{function}", *row) for name, (function, *row) in rows.items()
    ]
