"""A figure drawn twice is the same to the last byte, and its dark sister differs from it in color only."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

FIGURES = Path(__file__).parents[2] / "docs" / "figures"


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(FIGURES)
    import derivatives
    import style

    yield style, derivatives
    for module in ("style", "derivatives"):
        sys.modules.pop(module, None)


def test_a_figure_is_the_same_to_the_last_byte(figures, tmp_path):
    style, derivatives = figures
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        style.draw("tangents", derivatives.tangents, folder=tmp_path / folder)
    for name in ("tangents.svg", "tangents.dark.svg"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    light, dark = ((tmp_path / "first" / name).read_text() for name in ("tangents.svg", "tangents.dark.svg"))
    assert light != dark
    assert _without_colors(light) == _without_colors(dark)


def _without_colors(svg):
    return re.sub(r"#[0-9a-f]{6}|\bm?[0-9a-z]*[0-9a-f]{10}\b", "", svg)
