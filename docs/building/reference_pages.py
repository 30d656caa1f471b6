"""The API reference: what users import, under the path that they import it from; the modules behind it apart.

A public name is one that `tfbp` or one of its packages offers by `from … import name as name` (or `_LAZY`, where its
import is put off). Its docstring stands under that path; a module behind it lists only what has no public path.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
# users import these whole; the other packages are how they are made
PUBLIC = (
    "tfbp",
    "tfbp.fitting",
    "tfbp.layers",
    "tfbp.losses",
    "tfbp.training",
    "tfbp.manual",
    "tfbp.tape",
    "tfbp.reference",
)
PUBLIC_MODULES = ("tfbp.losses", "tfbp.datasets")


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


def exports() -> dict[str, str]:
    """Where every name with a public path is defined, by that path: tfbp.Model is tfbp.training.model.Model."""
    found: dict[str, str] = {}
    for package in PUBLIC:
        place = ROOT / package.replace(".", "/")
        if not place.is_dir():
            found.update({f"{package}.{name}": f"{package}.{name}" for name in public_names(place.with_suffix(".py"))})
            continue
        for node in ast.parse((place / "__init__.py").read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found.update(
                    {f"{package}.{each.name}": f"{node.module}.{each.name}" for each in node.names if each.asname}
                )
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_LAZY":
                lazy = ast.literal_eval(node.value)
                found.update({f"{package}.{name}": f"{module}.{name}" for name, module in lazy.items()})
    # a package's modules are no names of it, nor are tables
    return {path: target for path, target in sorted(found.items()) if _defines(target)}


def pages() -> dict[str, str]:
    """The pages' texts by their paths, public names first."""
    public = exports()
    found = {}
    for package in PUBLIC:
        paths = [path for path in public if path.rpartition(".")[0] == package]
        lines = [f"# {package}", "", _first_line(package), ""]
        for path in paths:
            lines += _entry(path, public[path])
        found[f"reference/{package}.md"] = "\n".join(lines)
    found["reference/tfbp.datasets.md"] = "\n".join(
        ["# tfbp.datasets", "", _first_line("tfbp.datasets"), "", *_entries("tfbp.datasets", public)]
    )
    for room, names in modules().items():
        lines = [f"# Inside {room}", "", "What has no public path: how the above is made.", ""]
        for name in names:
            if name not in PUBLIC_MODULES:
                entries = _entries(name, public)
                lines += [f"## {name}", "", _first_line(name), "", *entries] if entries else []
        if len(lines) > 4:
            found[f"reference/inside/{room}.md"] = "\n".join(lines)
    return found


def nav() -> list[object]:
    """The section's entries: public pages, then those of the rooms in a section of their own."""
    found = list(pages())
    inside = [page for page in found if "/inside/" in page]
    return [*(page for page in found if page not in inside), {"Inside": inside}]


def public_names(path: Path) -> list[str]:
    """The functions and classes that a file defines, but not those that it only re-exports."""
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def _entries(module: str, public: dict[str, str]) -> list[str]:
    """What a module defines and no public path leads to."""
    behind = set(public.values())
    names = [f"{module}.{name}" for name in public_names(_path(module))]
    return [line for name in names if name not in behind for line in _entry(name, name)]


def _entry(path: str, target: str) -> list[str]:
    return [f"## {path} {{ #{path} }}", "", "```py", _signature(path, target), "```", "", f"::: {target}", ""]


def _signature(path: str, target: str) -> str:
    """How it is called, without types, which the table of its arguments has."""
    module, _, name = target.rpartition(".")
    (node,) = (each for each in ast.parse(_path(module).read_text()).body if getattr(each, "name", "") == name)
    if isinstance(node, ast.ClassDef):
        made = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        fields = [each.target.id for each in node.body if isinstance(each, ast.AnnAssign)]
        if not made:
            return f"{path}({', '.join(fields)})"
        (node,) = made
    arguments = node.args
    for each in (*arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if each is not None:
            each.annotation = None
    arguments.args = [each for each in arguments.args if each.arg != "self"]
    called = ast.unparse(arguments)
    if len(path + called) < 80:
        return f"{path}({called})"
    lines = called.replace(", ", ",\n    ")
    return f"{path}(\n    {lines},\n)"


def _defines(target: str) -> bool:
    module, _, name = target.rpartition(".")
    path = _path(module)
    return path.is_file() and name in public_names(path)


def _path(module: str) -> Path:
    place = ROOT / module.replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _first_line(module: str) -> str:
    docstring = ast.get_docstring(ast.parse(_path(module).read_text()))
    return (docstring or "").split("\n\n")[0].replace("\n", " ")
