"""Puts a mistake into the running process and takes it out again: a function gets other code and stays the same object.

So every module that imported the function runs the changed code, and TensorFlow is imported once for all mistakes.
Files do not change. The expression is found in the function's syntax tree.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import linecache
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from planting.mistake import Mistake


@contextmanager
def planted(mistake: Mistake) -> Iterator[None]:
    """The package with the mistake in it."""
    module, path, name = _place(mistake.function)
    source = path.read_text()
    changed = changed_source(source, name, mistake)
    function = _function(importlib.import_module(module), name)
    right = function.__code__
    linecache.cache[str(path)] = (len(changed), None, changed.splitlines(keepends=True), str(path))
    try:
        function.__code__ = _code(changed, str(path), name)
        forget_programs()
        yield
    finally:
        function.__code__ = right
        linecache.cache.pop(str(path), None)
        forget_programs()


def changed_source(source: str, name: str, mistake: Mistake) -> str:
    """Returns a module's text with the mistake in its function.

    Raises:
        ValueError: the function does not hold `old` exactly once.

    Example:
        >>> source = "def double(x):\\n    return 2 * x  # twice\\n"
        >>> changed_source(source, "double", Mistake("", "double", "2*x", "x"))
        'def double(x):\\n    return (x)  # twice\\n'
    """
    wanted, is_expression = _parsed(mistake.old)
    kind = ast.expr if is_expression else ast.stmt
    inside = [node for node in ast.walk(_definition(ast.parse(source), name)) if isinstance(node, kind)]
    matches = [node for node in inside if ast.dump(node) == wanted]
    if len(matches) != 1:
        raise ValueError(f"{mistake.id}: {len(matches)} places in {mistake.function} hold {mistake.old}")
    (node,) = matches
    lines = source.encode().splitlines(keepends=True)
    start, end = (
        sum(map(len, lines[: line - 1])) + column
        for line, column in ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
    )
    if is_expression:
        new = f"({mistake.new})"
    else:
        new = textwrap.indent(textwrap.dedent(mistake.new), " " * node.col_offset).lstrip()
    return (source.encode()[:start] + new.encode() + source.encode()[end:]).decode()


def check(mistakes: list[Mistake]) -> None:
    """Raises `ValueError` if a mistake's expression is not exactly once in its function; runs nothing."""
    sources: dict[Path, str] = {}
    for mistake in mistakes:
        _, path, name = _place(mistake.function)
        source = sources.setdefault(path, path.read_text())
        ast.parse(changed_source(source, name, mistake))


def forget_programs() -> None:
    """Empties the package's caches of traced functions."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("tfbp.layers", "tfbp.losses")):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _place(function: str) -> tuple[str, Path, str]:
    """Returns the module, its file, and the name in it."""
    parts = function.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(["tfbp", *parts[:count]])
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            continue
        if spec is not None and spec.origin is not None:
            return module, Path(spec.origin), ".".join(parts[count:])
    raise ValueError(f"{function}: no module of tfbp")


def _parsed(text: str) -> tuple[str, bool]:
    """Returns the syntax tree of the text, and whether it is an expression."""
    try:
        return ast.dump(ast.parse(text.strip(), mode="eval").body), True
    except SyntaxError:
        (statement,) = ast.parse(textwrap.dedent(text).strip()).body
        return ast.dump(statement), False


def _definition(tree: ast.AST, name: str) -> ast.AST:
    """Returns the function or method of that name."""
    for part in name.split("."):
        tree = next(
            statement
            for statement in tree.body
            if isinstance(statement, ast.FunctionDef | ast.ClassDef) and statement.name == part
        )
    return tree


def _code(source: str, path: str, name: str) -> CodeType:
    code = compile(source, path, "exec")
    for part in name.split("."):
        code = next(node for node in code.co_consts if isinstance(node, CodeType) and node.co_name == part)
    return code


def _function(module: Any, name: str) -> FunctionType:
    function = functools.reduce(getattr, name.split("."), module)
    while not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        function = function.fget if isinstance(function, property) else function.__wrapped__
    return function
