"""The API reference: a page for each room, with every module in it that has something public."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules() -> dict[str, list[str]]:
    """The modules of each room, by the room's name; tfbp's own modules are the room "tfbp"."""
    rooms: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tfbp").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts) or not public_names(path):
            continue
        room = "tfbp" if len(parts) == 2 else ".".join(parts[:2])
        rooms.setdefault(room, []).append(".".join(part for part in parts if part != "__init__"))
    return rooms


def pages() -> dict[str, str]:
    """The pages' texts by their paths."""
    found = {}
    for room, names in modules().items():
        lines = [f"# {room}", "", _first_line(room), ""]
        for name in names:
            lines += [f"::: {name}", ""]
        found[f"reference/{room.replace('tfbp.', '')}.md"] = "\n".join(lines)
    return found


def public_names(path: Path) -> list[str]:
    """The functions and classes that a file defines, but not those that it only re-exports."""
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def _first_line(room: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / room.replace(".", "/") / "__init__.py").read_text()))
    return (docstring or "").split("\n\n")[0].replace("\n", " ")
