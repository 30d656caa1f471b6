"""Writes a model's report as one page of HTML: its graph, with a red box for a wrong call, and the table."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

import numpy as np

BOX, ROW, GAP, HIGH = 190, 74, 60, 44
STYLE = """
body{font-family:system-ui,sans-serif;margin:2em;color:#222;background:#fff}
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}
.wrong{color:#b00020;font-weight:600}svg{max-width:100%;height:auto}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}.wrong{color:#ff8a80}}
"""


class Box(NamedTuple):
    """An input of the model, drawn as a call."""

    layer: str
    kind: str
    worst: dict[str, float]
    takes: tuple[int, ...]
    makes: tuple[int, ...]


def html(report: Any) -> str:
    """Returns the page.

    Example:
        >>> from tfbp.agreement.of_models.report import Line, ModelReport
        >>> page = html(ModelReport("m", [Line("d", "Dense", "reference", {"float32 eager": 0.5}, (0,), (1,))]))
        >>> page.count("<rect"), "0.5 (eager)" in page
        (1, True)
    """
    verdict = "agrees" if report.agrees else f"{len(report.findings)} findings"
    findings = "".join(f"<li class='wrong'>{escape(str(finding))}</li>" for finding in report.findings)
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(report.name)}: {verdict}</title>"
        f"<style>{STYLE}</style><h1>{escape(report.name)}: {verdict}</h1><p>{escape(versions)}</p>"
        f"<ul>{findings}</ul><ul>{notes}</ul>{drawn(report)}{_table(report)}</html>\n"
    )


def drawn(report: Any) -> str:
    """Returns the graph as SVG: each call below its inputs, with a line to each tensor that it takes."""
    inputs = [Box(name, "input", {}, (), (number,)) for number, name in enumerate(report.inputs)]
    boxes = [*inputs, *report.lines]
    makers = {number: index for index, line in enumerate(boxes) for number in line.makes}
    depths: list[int] = []
    for line in boxes:
        before = [makers[number] for number in line.takes if number in makers]
        depths.append(1 + max(depths[index] for index in before) if before else 0)
    columns = [depths[:index].count(depth) for index, depth in enumerate(depths)]
    width = (BOX + GAP) * max(map(depths.count, depths), default=1)
    wrong = {finding.layer for finding in report.findings}
    parts = []
    places = [((BOX + GAP) * column, ROW * depth + 4) for column, depth in zip(columns, depths, strict=True)]
    for line, (x, y) in zip(boxes, places, strict=True):
        for number in dict.fromkeys(line.takes):
            if number in makers:
                left, top = places[makers[number]]
                ends = f"x1='{left + BOX / 2:g}' y1='{top + HIGH}' x2='{x + BOX / 2:g}' y2='{y}'"
                parts.append(f"<line {ends} stroke='currentColor' stroke-opacity='0.5'/>")
        red = line.layer in wrong
        color = "#b00020" if red else "#0072b2"
        parts.append(
            f"<rect x='{x}' y='{y}' width='{BOX}' height='{HIGH}' rx='6' fill='{color}' "
            f"fill-opacity='{0.35 if red else 0.12}' stroke='{color}'/>"
        )
        known = [ratio for ratio in line.worst.values() if np.isfinite(ratio)]
        sentence = f"{line.kind}, {max(known):.2g}" if known else line.kind
        for text, down in ((line.layer, 18), (sentence, 35)):
            short = text if len(text) < 28 else f"{text[:26]}…"
            parts.append(f"<text x='{x + BOX / 2:g}' y='{y + down}' font-size='12'>{escape(short)}</text>")
    high = ROW * (1 + max(depths, default=0))
    label = escape(f"{report.name}: its calls, red where one disagrees", quote=True)
    size = f"viewBox='-4 0 {width} {high}' width='{width}'"
    style = "text-anchor='middle' fill='currentColor' font-family='system-ui, sans-serif'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} {style} role='img' aria-label='{label}'>"
    return f"{head}{''.join(parts)}</svg>"


def _table(report: Any) -> str:
    head, *rows = report.rows()
    wrong = {finding.layer for finding in report.findings}
    names = [line.layer for line in report.lines]
    cells = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = ""
    for index, row in enumerate(rows):
        red = " class='wrong'" if index < len(names) and names[index] in wrong else ""
        body += f"<tr{red}>{''.join(f'<td>{escape(word)}</td>' for word in row)}</tr>"
    return f"<table><tr>{cells}</tr>{body}</table>"
