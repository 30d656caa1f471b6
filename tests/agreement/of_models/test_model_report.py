"""A model's report: text, JSON, the page with the drawn graph, and what is another than before."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from tfbp.agreement.of_models.change import changes, read
from tfbp.agreement.of_models.page import drawn, html
from tfbp.agreement.of_models.report import Line, ModelFinding, ModelReport
from tfbp.errors import InputError


def report(ratio=0.5, findings=(), keras="3.15"):
    lines = [
        Line("a", "Dense", "reference", {"float32 eager": ratio, "float32 xla": 0.25}, (0,), (1,)),
        Line("b<", "Lambda", "differences", {"float32 eager": 0.125}, (1,), (2,)),
        Line("sum", "Add", "reference", {"float32 eager": np.inf}, (1, 2), (3,)),
    ]
    versions = {"keras": keras}
    return ModelReport("m", lines, list(findings), {"float32 eager": 0.25}, ["a note"], ["x"], versions)


WRONG = ModelFinding(
    "a", "dkernel", "float32", "xla", "layer", "the sign is flipped", "", 40.0, "the layer is the outlier"
)


def test_the_text_has_a_line_for_each_call_and_the_worst_mode():
    said = str(report(findings=[WRONG]))
    assert said.startswith("m: 1 finding; 2 of 3 calls judged by the reference, 1 by differences\n")
    assert (
        "a dkernel [layer; float32, xla]: the sign is flipped; the layer is the outlier (error / tolerance 40)" in said
    )
    (row,) = [line.split() for line in said.splitlines() if line.startswith("  a (Dense)")]
    assert row == ["a", "(Dense)", "reference", "0.5", "(eager)"]
    assert "note: a note" in said


def test_json_has_every_number_and_null_for_infinity():
    found = json.loads(report(findings=[WRONG]).to_json())
    assert (found["agrees"], found["findings"][0]["ratio"], found["whole"]) == (False, 40.0, {"float32 eager": 0.25})
    assert found["lines"][2]["worst"] == {"float32 eager": None}


def test_the_graph_is_red_where_it_disagrees():
    boxes = ElementTree.fromstring(drawn(report(findings=[WRONG]))).findall("{http://www.w3.org/2000/svg}rect")
    assert [box.attrib["stroke"] for box in boxes] == ["#0072b2", "#b00020", "#0072b2", "#0072b2"]
    lines = ElementTree.fromstring(drawn(report())).findall("{http://www.w3.org/2000/svg}line")
    assert len(lines) == 4
    assert "<b<" not in html(report())
    assert html(report(findings=[WRONG])).count("class='wrong'") == 2


def test_what_is_another_than_before_is_said(tmp_path):
    path = tmp_path / "before.json"
    path.write_text(report().to_json())
    before = read(path)
    assert changes(before, report()) == []
    said = changes(before, report(1.5, [WRONG], "3.16"))
    assert said[0] == "keras: 3.15 before, 3.16 now"
    assert said[1].startswith("new: a dkernel [layer; float32, xla]: the sign is flipped")
    assert said[2:] == ["a [float32 eager]: error / tolerance 0.5 before, 1.5 now"]
    assert changes(json.loads(report(findings=[WRONG]).to_json()), report()) == ["gone: a dkernel [layer]"]


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"], ids=["missing", "broken", "list", "other"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "before.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"compare: got .*accepted: a file that --json wrote\."):
        read(path)
