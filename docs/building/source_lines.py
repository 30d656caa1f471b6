"""Lines of the source in the pages, by name, so that a page cannot go stale.

A fence in a page,

    ```python source="tfbp.manual.dense.dense_backward: dkernel ="
    dkernel = …
    ```

holds the lines of that function that contain the text, with their comments above; without ": text", all of it.

python docs/building/source_lines.py       writes the lines of every page again. To add some, write a fence

    ```source
    tfbp.manual.dense.dense_backward: dkernel =
    ```
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NEW = re.compile(r"^```source\n(?P<body>.*?)\n```$", re.MULTILINE | re.DOTALL)
GUARD = re.compile(r" if \w+_gradients? else (None|\{\})$")
FENCE = re.compile(r'^```python source="(?P<reference>[^"\n]*)"\n(?P<code>.*?)\n```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Some lines of a file: where they are, and what they say."""

    path: str
    first: int
    lines: str


def find(reference: str) -> Source:
    """Returns the lines that a reference names; a `LookupError` where it names none."""
    name, _, text = (part.strip() for part in reference.partition(": "))
    path, function = _file_of(name)
    source = (ROOT / path).read_text()
    tree, lines = ast.parse(source), source.splitlines()
    node = _definition(tree, function) if function else None
    if function and node is None:
        raise LookupError(f"{reference}: {path} has no {function}")
    first, last = (node.lineno, node.end_lineno) if node else (1, len(lines))
    chosen = range(first, last + 1)
    if text:
        hits = [number for number in chosen if text in lines[number - 1] and not _is_comment(lines[number - 1])]
        if len(hits) != 1:
            raise LookupError(f"{reference}: {len(hits)} lines of {path} contain {text!r}, not one")
        start = hits[0]
        while _is_comment(lines[start - 2]) and start - 1 > first:
            start -= 1
        # a statement may go on over several lines
        ends = [s.end_lineno for s in ast.walk(tree) if isinstance(s, ast.stmt) and s.lineno == hits[0]]
        chosen = range(start, max(ends, default=hits[0]) + 1)
    block = [lines[number - 1] for number in chosen]
    indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
    # a page shows the mathematics: without the conditions that skip a gradient that nobody needs
    block = [GUARD.sub("", line) for line in block] if text else block
    # a page has no room for the wide gap before a comment's second half
    block = [line[:indent] + re.sub(r"(\S) {3,}", r"\1   ", line[indent:]) for line in block]
    return Source(path, hits[0] if text else chosen[0], "\n".join(line[indent:] for line in block))


def references(markdown: str) -> list[str]:
    """Returns every reference of a page."""
    return [fence["reference"] for fence in FENCE.finditer(markdown)]


def written(markdown: str) -> str:
    """Returns the page with its fences as the source is now."""
    markdown = NEW.sub(
        lambda fence: "\n\n".join(f'```python source="{each}"\n```' for each in fence["body"].splitlines()), markdown
    )
    return re.sub(
        r'^```python source="([^"\n]*)"\n.*?^```$',
        lambda fence: f'```python source="{fence[1]}"\n{find(fence[1]).lines}\n```',
        markdown,
        flags=re.MULTILINE | re.DOTALL,
    )


def expand(markdown: str, line_numbers: bool = True) -> str:
    """Returns the page with titles over its source lines; those that follow a displayed formula stand beside it."""

    def code(fence: re.Match[str]) -> str:
        source = find(fence["reference"])
        title = f"{source.path}, line {source.first}" if line_numbers else source.path
        return f'```python title="{title}"\n{source.lines}\n```'

    fence = r'```python source="[^"\n]*"\n(?:(?!```).)*?\n```'
    beside = re.compile(rf"^(\$\$\n(?:(?!\$\$).)*?\n\$\$)\n\n({fence}(?:\n\n{fence})*)$", re.MULTILINE | re.DOTALL)
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


if __name__ == "__main__":
    for page in sorted(DOCS.rglob("*.md")):
        page.write_text(written(page.read_text()))
