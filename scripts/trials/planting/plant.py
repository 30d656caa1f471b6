"""A mutation put into the running process and taken out again: functions keep their identity and get other code.

So every name that a function was imported under runs the mutated code, nothing is imported twice, and TensorFlow only
once for all mutations. Nothing on disk is touched.
"""

from __future__ import annotations

import functools
import importlib
import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import tfbp
from planting.mutations import Mutation
from tfbp import losses
from tfbp.layers import hand_written

PACKAGE = Path(tfbp.__file__).parent


@contextmanager
def planted(mutation: Mutation) -> Iterator[list[CodeType]]:
    """The package with the mutation in it; gives the original code of the functions that it changes."""
    path = PACKAGE / mutation.file
    source = path.read_text()
    assert source.count(mutation.old) == 1, f"{mutation.id}: {source.count(mutation.old)} places in {mutation.file}"
    mutated = source.replace(mutation.old, mutation.new)
    module = importlib.import_module("tfbp." + mutation.file.removesuffix(".py").replace("/", "."))
    before, after = (_functions(compile(text, str(path), "exec")) for text in (source, mutated))
    changed = {name: code for name, code in after.items() if not _same(code, before[name])}
    assert changed, f"{mutation.id}: changes no function"
    functions = {name: _function(module, name) for name in changed}
    originals = {name: function.__code__ for name, function in functions.items()}
    linecache.cache[str(path)] = (len(mutated), None, mutated.splitlines(keepends=True), str(path))
    try:
        for name, function in functions.items():
            function.__code__ = changed[name]
        _forget_programs()
        yield list(originals.values())
    finally:
        for name, function in functions.items():
            function.__code__ = originals[name]
        linecache.checkcache(str(path))
        linecache.cache.pop(str(path), None)
        _forget_programs()


def _forget_programs() -> None:
    """The package's caches of traced functions."""
    losses._mean_loss.cache_clear()
    hand_written._activation.cache_clear()
    hand_written.softmax.cache_clear()


def _functions(code: CodeType) -> dict[str, CodeType]:
    """Functions of the module and methods of its classes, by qualified name; what is inside belongs to them."""
    found = {}
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & 0x02:  # CO_NEWLOCALS: a function
                found[each.co_qualname] = each
            else:
                found.update(_functions(each))
    return found


def _same(a: CodeType, b: CodeType) -> bool:
    if (a.co_code, a.co_names, a.co_varnames) != (b.co_code, b.co_names, b.co_varnames):
        return False
    pairs = list(zip(a.co_consts, b.co_consts, strict=False))
    same = all(_same(p, q) if isinstance(p, CodeType) and isinstance(q, CodeType) else p == q for p, q in pairs)
    return same and len(a.co_consts) == len(b.co_consts)


def _function(module: Any, name: str) -> FunctionType:
    function = functools.reduce(getattr, name.split("."), module)
    while not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function
