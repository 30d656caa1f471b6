"""The tour as a Jupyter notebook: every page's text as a cell of Markdown, every block of Python as a cell of code.

The site has it beside its pages.

python docs/building/notebook.py           writes build/tour.ipynb
python docs/building/notebook.py --run     runs it from top to bottom as well, and keeps nothing (needs nbclient)
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import project
import source_lines

DOCS = Path(__file__).parents[1]
PAGES = (
    "tour/derivatives.md",
    "tour/gradient_descent.md",
    "tour/one_neuron.md",
    "tour/worked_example.md",
    "tour/why_backwards.md",
    "tour/activations.md",
    "derivation.md",
    "tour/autodiff.md",
    "tour/initialization.md",
    "tour/normalization.md",
    "tour/convolution.md",
    "tour/dropout.md",
    "tour/recurrence.md",
    "tour/attention.md",
    "tour/represent.md",
    "tour/see_it_learn.md",
    "tour/exercises.md",
)
# what is printed comes out of the notebook by itself
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
# of a picture, the part of the link after docs/pictures/
PICTURE = re.compile(r"!\[([^\]]*)\]\((?:[^)]*/)?pictures/([^)]*)\)")
# the text of a link may be broken over two lines
LINK = re.compile(r"(?<!!)(\[[^\]]*\])\(([^)\s]*)\)")
ABOUT = """# Backpropagation, explained by running it

The tour of tfbp in one notebook. It needs Python 3.11 to 3.13; the next cell installs what is missing."""
INSTALL = """try:
    import tfbp
except ImportError:
    # from build/ of a checkout; after the first release: "tfbp[scripts]"
    %pip install --quiet "../.[scripts]"
"""
HIDDEN = re.compile(r"</?div[^>]*>\n+")


def notebook() -> str:
    """Returns the notebook's JSON text."""
    cells = [_cell("markdown", ABOUT, "000"), _cell("code", INSTALL, "001")]
    for page in PAGES:
        text = HIDDEN.sub("", source_lines.expand((DOCS / page).read_text(), line_numbers=False))
        # a source line that is shown is no cell to run
        text = text.replace("```python title=", "```py title=")
        text = LINK.sub(lambda found, page=page: f"{found[1]}({_target(page, found[2])})", text)
        for index, part in enumerate(BLOCK.split(text)):
            if part.strip():
                kind = "code" if index % 2 else "markdown"
                cells.append(_cell(kind, part.strip("\n"), f"{len(cells):03}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _target(page: str, link: str) -> str:
    """Where a link leads from a notebook that lies alone: to a heading of it, or to the project's repository."""
    if ":" in link or link.startswith("#"):
        return link
    path, _, anchor = os.path.normpath(os.path.join(os.path.dirname(page), link)).partition("#")
    if path in PAGES:
        return "#" + (DOCS / path).read_text().splitlines()[0].removeprefix("# ").replace(" ", "-")
    return f"{project.repository()}/blob/main/docs/{path}" + (f"#{anchor}" if anchor else "")


def _attached(source: str) -> tuple[str, dict[str, Any]]:
    """Returns a cell's text with its pictures in the cell itself."""
    attachments = {}

    def attach(found: re.Match[str]) -> str:
        path = DOCS / "pictures" / found[2]
        kind = {".svg": "image/svg+xml", ".gif": "image/gif"}[path.suffix]
        attachments[path.name] = {kind: base64.b64encode(path.read_bytes()).decode()}
        return f"![{found[1]}](attachment:{path.name})"

    return PICTURE.sub(attach, source), attachments


def run(text: str) -> None:
    """Run every cell in order; raises where one fails."""
    import nbformat
    from nbclient import NotebookClient

    document = nbformat.reads(text, as_version=4)
    # TensorFlow's log goes into the cells' own output; Jupyter's remarks on its settings are none of ours
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "JUPYTER_PLATFORM_DIRS": "1"}
    with open(os.devnull, "w") as nowhere:
        stderr = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            NotebookClient(document, timeout=300, resources={"metadata": {"path": str(DOCS)}}).execute()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    print(f"ran {sum(cell.cell_type == 'code' for cell in document.cells)} cells")


def _cell(kind: str, source: str, name: str) -> dict[str, Any]:
    source, attachments = _attached(source) if kind == "markdown" else (source, {})
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source.splitlines(keepends=True)}
    if attachments:
        cell["attachments"] = attachments
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell


if __name__ == "__main__":
    place = DOCS.parent / "build" / "tour.ipynb"
    place.parent.mkdir(exist_ok=True)
    place.write_text(notebook())
    if "--run" in sys.argv:
        run(notebook())
