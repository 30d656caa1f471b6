"""Writes Markdown tables and the numbers in them."""

from __future__ import annotations

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table; numbers are aligned to the right.

    Example:
        >>> table(["size", "µs"], [["64-32-10", "12"]])
        ['| size | µs |', '|---|---:|', '| 64-32-10 | 12 |']
    """
    if not rows:
        return ["Nothing yet."]
    return [
        f"| {' | '.join(headings)} |",
        f"|---|{'---:|' * (len(headings) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def number(value: float | None) -> str:
    """Returns three digits; infinite without a number."""
    return "∞" if value is None else f"{value:.3g}"


def microseconds(value: float) -> str:
    """Returns four digits, and whole numbers from a thousand on.

    Example:
        >>> microseconds(12.3456), microseconds(123456.7)
        ('12.35', '123,457')
    """
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
