"""Every block of code on every page runs, and prints what the page says; what a page names is there.

A page's ```python blocks share one namespace and run in order; a ```text block after one is what it prints. Blocks of
other languages are not run, nor those of the pages in NOT_RUN; commands in ```sh blocks have to exist, with their
options. The Chinese pages hold the same code as the English ones, which is checked instead of running it twice.
"""

import ast
import contextlib
import importlib
import inspect
import io
import json
import math
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "building"))

import notebook
import reference_pages
import source_lines

from tfbp.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md"))]
# what these show needs other processes or devices: their blocks are only compiled
NOT_RUN = ("several_machines.md",)
ENGLISH = [path for path in PAGES if "zh" not in path.parts]
CHINESE = [path for path in PAGES if "zh" in path.parts]
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```)?", re.MULTILINE | re.DOTALL)


def name(path):
    return path.relative_to(ROOT).as_posix()


def fences(text):
    """The language and the lines of every fenced block."""
    language, lines = None, []
    for line in text.splitlines():
        if line.startswith("```") and language is None:
            language, lines = line[3:].strip(), []
        elif line.startswith("```"):
            yield language, lines
            language = None
        else:
            lines.append(line)


@pytest.mark.xla
@pytest.mark.parametrize("page", [page for page in ENGLISH if BLOCK.search(page.read_text())], ids=name)
def test_every_block_runs_and_prints_what_the_page_says(page):
    namespace = {"__name__": "page"}
    text = page.read_text()
    for block in BLOCK.finditer(text):
        line = text[: block.start()].count("\n") + 2
        # an error names the line in the page
        code = compile("\n" * (line - 1) + block["code"], str(page), "exec")
        if page.name in NOT_RUN:
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)
        assert printed.getvalue() == (block["printed"] or ""), f"{name(page)}, line {line}"


@pytest.mark.parametrize("page", CHINESE, ids=name)
def test_a_chinese_page_holds_the_code_the_formulas_and_the_pictures_of_the_english_one(page):
    english = next(path for path in ENGLISH if path.name == page.name and DOCS in path.parents)
    for pattern in (BLOCK, source_lines.FENCE, re.compile(r"pictures/[\w.]+")):
        theirs, ours = ([found.group() for found in pattern.finditer(p.read_text())] for p in (english, page))
        assert ours == theirs
    displayed = [p.read_text().count("\n$$\n") for p in (english, page)]
    assert displayed[0] == displayed[1]


@pytest.mark.parametrize("page", CHINESE, ids=name)
def test_a_chinese_page_has_the_rows_and_the_code_words_of_the_english_one(page):
    english = next(path for path in ENGLISH if path.name == page.name and DOCS in path.parents)
    theirs, ours = (re.sub(r"^```.*?^```$", "", p.read_text(), flags=re.MULTILINE | re.DOTALL) for p in (english, page))
    assert rows(ours) == rows(theirs)
    assert code_words(ours) == code_words(theirs)


# the Chinese word for a thing, and others for it that the pages do not use
ONE_WORD = {
    "前向": ("正向", "去路"),
    "反向": ("后向", "回路"),
    "折点": ("拐点", "尖点"),
    "词元": ("令牌", "标记符"),
    "立即执行": ("逐句执行", "即时执行"),
    "tape": ("磁带",),
    "reference": ("参考写法", "参照实现"),
}


def test_the_chinese_pages_have_one_word_for_a_thing():
    text = "".join(page.read_text() for page in CHINESE)
    assert [word for word in ONE_WORD if word not in text] == []
    assert [other for others in ONE_WORD.values() for other in others if other in text] == []


def rows(text):
    """The number of lines of each table."""
    return [table.count("\n") for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


def code_words(text):
    """The text between backticks, without the targets of links; a line break within is a space."""
    found = re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"\]\([^)]*\)", "]", text))
    return {" ".join(word.split()) for word in found}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for language, lines in fences(page.read_text()):
        for line in lines if language in ("", "sh", "bash") else ():
            words = line.split("#")[0].split()
            if words[:1] == ["make"]:
                assert words[1] in targets, line
            if words[:1] == ["python"] and words[1].endswith(".py"):
                script = (ROOT / words[1]).read_text()
                # the package's commands, of which the script is a shorthand
                for module in re.findall(r"from (tfbp\.commands\.\w+) import main", script):
                    script += (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
                for option in (word for word in words if word.startswith("--")):
                    assert option in script, line
            if words[:1] == ["tfbp"]:
                command = (ROOT / COMMANDS[words[1]].replace(".", "/")).with_suffix(".py").read_text()
                assert [word for word in words if word.startswith("--") and word not in command] == [], line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_source_line_and_picture_is_there(page):
    text = page.read_text()
    # after a change of the source: python docs/building/source_lines.py
    assert text == source_lines.written(text)
    for picture in re.findall(r"\(([^)]*pictures/[^)]*)\)", text):
        place = page.parent / picture
        assert place.is_file()
        assert place.with_suffix(f".dark{place.suffix}").is_file()


def test_a_source_line_that_is_gone_is_named():
    with pytest.raises(LookupError, match=r"dense.py has no gone"):
        source_lines.find("tfbp.manual.dense.gone")
    with pytest.raises(LookupError, match=r"0 lines of tfbp/manual/dense.py contain 'no such line'"):
        source_lines.find("tfbp.manual.dense.dense_backward: no such line")


def test_the_notebook_needs_no_file_beside_it():
    cells = json.loads(notebook.notebook())["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    headings = {line.lstrip("# ").replace(" ", "-") for text in texts for line in text.splitlines() if line[:1] == "#"}
    links = [link for text in texts for link in re.findall(r"\]\(([^)]*)\)", text)]
    assert len(links) > 20
    for link in links:
        place, _, name = link.partition(":") if ":" in link else link.partition("#")
        assert name in headings if place == "" else place in ("https", "attachment"), link
    attached = {name for cell in cells for name in cell.get("attachments", {})}
    assert attached == {link.removeprefix("attachment:") for link in links if link.startswith("attachment:")}


def test_the_reference_has_every_name_once_and_public_names_under_public_paths():
    pages = reference_pages.pages()
    shown = [line.removeprefix("::: ") for text in pages.values() for line in text.splitlines() if line[:4] == "::: "]
    defined = [
        f"{module}.{name}"
        for names in reference_pages.modules().values()
        for module in names
        for name in reference_pages.public_names(reference_pages._path(module))
    ]
    assert len(defined) > 200
    # what two packages offer stands in both
    assert set(shown) == set(defined)
    for path, page in [
        ("tfbp.Model", "tfbp"),
        ("tfbp.Dense", "tfbp"),
        ("tfbp.layers.Dense", "tfbp.layers"),
        ("tfbp.training.TensorBoard", "tfbp.training"),
        ("tfbp.manual.loss_and_gradients", "tfbp.manual"),
        ("tfbp.losses.linear_cross_entropy", "tfbp.losses"),
        ("tfbp.datasets.load", "tfbp.datasets"),
    ]:
        assert f"## {path} {{ #{path} }}" in pages[f"reference/{page}.md"]
    inside = "".join(text for name, text in pages.items() if "/inside/" in name)
    assert "tfbp.training.model.Model\n" not in inside


CALL = re.compile(
    r"^## (?P<path>\S+) \{[^\n]*\n\n```py\n(?P<call>.*?)\n```\n\n::: (?P<target>\S+)$", re.MULTILINE | re.DOTALL
)


def test_every_signature_of_the_reference_is_that_of_inspect():
    """Of a class that of `__init__`: the page has the arguments in order, and every default that is plain Python."""
    entries = [entry for text in reference_pages.pages().values() for entry in CALL.finditer(text)]
    assert len(entries) > 200
    for entry in entries:
        module, _, name = entry["target"].rpartition(".")
        thing = getattr(importlib.import_module(module), name)
        expected = inspect.signature(thing.__init__ if isinstance(thing, type) else thing).parameters.values()
        expected = [each for each in expected if each.name != "self"]
        assert entry["call"].startswith(entry["path"] + "(")
        arguments = ast.parse(f"def page{entry['call'].removeprefix(entry['path'])}: ...").body[0].args
        shown = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
        assert [each.arg for each in shown if each] == [each.name for each in expected], entry["path"]
        defaults = [*arguments.defaults, *(each for each in arguments.kw_defaults if each)]
        meant = [each.default for each in expected if each.default is not each.empty]
        assert len(defaults) == len(meant), entry["path"]
        for node, value in zip(defaults, meant, strict=True):
            if isinstance(value, bool | int | float | str | tuple | None) and is_plain(value):
                assert ast.literal_eval(node) == value, entry["path"]
    calls = {entry["path"]: " ".join(entry["call"].split()) for entry in entries}
    assert calls["tfbp.layers.Dense"].startswith("tfbp.layers.Dense( units, activation=None, use_bias=True,")
    assert calls["tfbp.LinearCrossEntropy"].startswith("tfbp.LinearCrossEntropy( units, use_bias=True,")
    assert "tfbp.training.TerminateOnNaN" in calls
    assert not any("/" in call.replace("://", "") for call in calls.values())  # no path of this machine


def is_plain(value):
    return not isinstance(value, float) or math.isfinite(value)


def test_a_source_line_stands_beside_its_formula():
    page = "$$\na\n$$\n\ntext\n\n$$\nb\n$$\n\n```source\ntfbp.manual.dense.dense_backward: dkernel =\n```"
    written = source_lines.written(page)
    assert "\ndkernel = tf.matmul(x, dz, transpose_a=True)" in written
    assert source_lines.written(written) == written
    expanded = source_lines.expand(written)
    assert expanded.startswith('$$\na\n$$\n\ntext\n\n<div class="beside" markdown>\n\n<div markdown>\n\n$$\nb\n$$')
    assert 'title="tfbp/manual/dense.py, line ' in expanded
    assert "\ndkernel = tf.matmul(x, dz, transpose_a=True)" in expanded
