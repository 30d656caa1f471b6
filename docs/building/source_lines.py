"""Lines of the source, pulled into a page by name, so that a page cannot go stale.

A fence in a page,

    ```source
    tfbp.manual.dense.dense_backward: dkernel =
    ```

becomes the lines of that function that contain the text, with their comments above; without ": text", all of it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```source\n(?P<body>.*?)\n```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Some lines of a file: where they are, and what they say."""

    path: str
    first: int
    lines: str


def find(reference: str) -> Source:
    """The lines that a reference names; a `LookupError` where it names none."""
    name, _, text = (part.strip() for part in reference.partition(": "))
    path, function = _file_of(name)
    source = (ROOT / path).read_text()
    node = _definition(ast.parse(source), function) if function else None
    if function and node is None:
        raise LookupError(f"{reference}: {path} has no {function}")
    lines = source.splitlines()
    first, last = (node.lineno, node.end_lineno) if node else (1, len(lines))
    chosen = range(first, last + 1)
    if text:
        hits = [number for number in chosen if text in lines[number - 1] and not _is_comment(lines[number - 1])]
        if len(hits) != 1:
            raise LookupError(f"{reference}: {len(hits)} lines of {path} contain {text!r}, not one")
        start = hits[0]
        while _is_comment(lines[start - 2]) and start - 1 > first:
            start -= 1
        chosen = range(start, hits[0] + 1)
    block = [lines[number - 1] for number in chosen]
    indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
    # the wide gap before a comment's second half takes room that a page has not
    block = [line[:indent] + re.sub(r"(\S) {3,}", r"\1   ", line[indent:]) for line in block]
    return Source(path, chosen[-1] if text else chosen[0], "\n".join(line[indent:] for line in block))


def references(markdown: str) -> list[str]:
    """Every reference of a page."""
    return [line for fence in FENCE.finditer(markdown) for line in fence["body"].splitlines()]


def expand(markdown: str, line_numbers: bool = True) -> str:
    """The page with its references replaced; one that follows a displayed formula stands beside it."""

    def code(fence: re.Match[str]) -> str:
        blocks = []
        for reference in fence["body"].splitlines():
            source = find(reference)
            title = f"{source.path}, line {source.first}" if line_numbers else source.path
            blocks.append(f'```python title="{title}"\n{source.lines}\n```')
        return "\n\n".join(blocks)

    beside = re.compile(r"^(\$\$\n(?:(?!\$\$).)*?\n\$\$)\n\n(```source\n.*?\n```)$", re.MULTILINE | re.DOTALL)
    markdown = beside.sub(
        r'<div class="beside" markdown>\n\n<div markdown>\n\n\1\n\n</div>\n\n<div markdown>\n\n\2\n\n</div>\n\n</div>',
        markdown,
    )
    return FENCE.sub(code, markdown)


def _file_of(name: str) -> tuple[str, str]:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = Path(*parts[:length]).with_suffix(".py")
        if (ROOT / path).is_file():
            return path.as_posix(), ".".join(parts[length:])
    raise LookupError(f"{name}: no such module")


def _definition(tree: ast.AST, name: str) -> ast.AST | None:
    for part in name.split("."):
        found = [
            node
            for node in ast.iter_child_nodes(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        ]
        if not found:
            return None
        tree = found[0]
    return tree


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
