"""A report in under thirty lines, worst first, and as JSON."""

import json

import numpy as np

from tfbp.checking.report import Finding, Report, in_order


def test_worst_first_and_what_is_the_same_once():
    findings = [
        Finding("x", "here", "cause", "xla", "float32", "mode", 3.0),
        Finding("kernel", "here", "cause", "eager", "float64", "gradient", 5.0),
        Finding("kernel", "there", "cause", "graph", "float64", "gradient", 7.0),
        Finding("bias", "", "None", "eager", "float64", "contract"),
    ]
    found = in_order(findings, {"eager", "graph", "xla"})
    assert [(f.argument, f.mode, f.ratio) for f in found] == [
        ("bias", "eager", np.inf),
        ("kernel", "eager, graph", 7.0),
        ("x", "xla", 3.0),
    ]
    assert found[2].cause == "only in xla; cause"
    everywhere = in_order([Finding("x", "", "c", mode, "float64") for mode in ("eager", "xla")], ["eager", "xla"])
    assert everywhere[0].mode == "every mode"


def test_it_prints_in_under_thirty_lines_whatever_it_holds():
    findings = [Finding(f"x{i}", "where " * 99, "cause", "eager", "float64") for i in range(40)]
    report = Report("f", findings, ["note"] * 40, "weak", {"float64 eager": 2.0}, {"float64": {"x": 1e-14, "y": 1e-15}})
    lines = str(report).splitlines()
    assert len(lines) < 30
    assert lines[0] == "f: 40 findings; test point: weak"
    assert "  … and 29 more findings" in lines
    assert not report
    found = json.loads(report.to_json())
    assert (found["agrees"], found["findings"][0]["ratio"]) == (False, None)


def test_it_says_what_was_invisible():
    report = Report("f", visible={"bfloat16": {"kernel": 0.008, "bias": 0.001}})
    assert "note: in bfloat16, errors in kernel under 0.8 % are invisible here" in str(report)
