"""The API reference: what users import, under the path that they import it from; the modules behind it apart.

A public name is one that `tfbp` or one of its packages offers by `from … import name as name` (or `_LAZY`, where its
import is put off). Its docstring is under that path; a module behind it lists only what has no public path.
"""

from __future__ import annotations

import ast
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tfbp.console.quiet_tensorflow import tensorflow  # noqa: E402, F401  before any module that imports it

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
    """Returns the modules of each room, by the room's name; tfbp's own modules are the room "tfbp"."""
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
                found.update({f"{package}.{name}": target for name, target in _offered(node)})
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_LAZY":
                lazy = ast.literal_eval(node.value)
                found.update({f"{package}.{name}": f"{module}.{name}" for name, module in lazy.items()})
    found = {path: _origin(target, found) for path, target in found.items()}
    # without a package's modules, and without tables
    return {path: target for path, target in sorted(found.items()) if _defines(target)}


def _offered(node: ast.ImportFrom) -> list[tuple[str, str]]:
    """Returns the names that an import offers, and where they are defined; with `*` those of the module's __all__."""
    if node.names[0].name != "*":
        return [(each.name, f"{node.module}.{each.name}") for each in node.names if each.asname]
    offered = import_module(str(node.module)).__all__
    inner = [each for each in ast.parse(_path(str(node.module)).read_text()).body if isinstance(each, ast.ImportFrom)]
    return [(name.name, f"{each.module}.{name.name}") for each in inner for name in each.names if name.name in offered]


def _origin(target: str, exported: dict[str, str]) -> str:
    """Where a name is defined that a package imports from another package."""
    while target in exported and exported[target] != target:
        target = exported[target]
    return target


def pages() -> dict[str, str]:
    """Returns the pages' texts by their paths, public names first."""
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
    """Returns the section's entries: public pages, then those of the rooms in a section of their own."""
    found = list(pages())
    inside = [page for page in found if "/inside/" in page]
    return [*(page for page in found if page not in inside), {"Inside": inside}]


def public_names(path: Path) -> list[str]:
    """Returns the functions and classes that a file defines, but not those that it only re-exports."""
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def _entries(module: str, public: dict[str, str]) -> list[str]:
    """Returns what a module defines and no public path leads to."""
    behind = set(public.values())
    names = [f"{module}.{name}" for name in public_names(_path(module))]
    return [line for name in names if name not in behind for line in _entry(name, name)]


def _entry(path: str, target: str) -> list[str]:
    try:
        called = ["```py", _signature(path, target), "```", ""]
    except ModuleNotFoundError:  # of a contestant that is not installed, as JAX
        called = []
    return [f"## {path} {{ #{path} }}", "", *called, f"::: {target}", ""]


def _signature(path: str, target: str) -> str:
    """Returns how it is called, as `inspect.signature` has it, without types, which the table of its arguments has."""
    parameters = signature(target).parameters.values()
    called = str(inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in parameters]))
    if len(path + called) < 80:
        return f"{path}{called}"
    return f"{path}(\n    " + ",\n    ".join(_arguments(called[1:-1])) + ",\n)"


def signature(target: str) -> inspect.Signature:
    """Returns the signature of a dotted name; of a class, that of its `__init__`, or of the one that it inherits."""
    module, _, name = target.rpartition(".")
    thing = getattr(import_module(module), name)
    # Keras's layers have a `__new__` that takes anything, which inspect would prefer
    found = inspect.signature(thing.__init__ if isinstance(thing, type) else thing)
    parameters = [each for each in found.parameters.values() if each.name != "self"]
    fields = getattr(thing, "__dataclass_fields__", {})
    return inspect.Signature([_shown(each, fields.get(each.name)) for each in parameters])


def _shown(parameter: inspect.Parameter, field: Any) -> inspect.Parameter:
    """The argument with a default that reads as Python: a function's by its name, a field's from its factory."""
    default = parameter.default
    if field is not None and callable(field.default_factory):
        default = field.default_factory()
    if default is parameter.empty:
        return parameter
    if callable(default) or inspect.ismodule(default):
        name = getattr(default, "__qualname__", default.__name__)
        default = Name("..." if "<lambda>" in name else name)
    return parameter.replace(default=default)


class Name(str):
    """A name that shows without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _arguments(called: str) -> list[str]:
    """Returns the arguments one by one; a comma within brackets separates none."""
    parts, depth = [""], 0
    for letter in called:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


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
