"""Formulas as MathML, made when the site is built: a browser needs no script, no font and no network for it."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

# what pymdownx.arithmatex leaves of $…$ and $$…$$
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
# a prime is already raised: as a superscript, as latex2mathml has it, it would fly off
PRIME = re.compile(r"<msup>((?:(?!<msup>).)*?)<mi>(&#x0203[2-4];)</mi></msup>", re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def render(page: str) -> str:
    """Returns the page's HTML with every formula rendered."""
    page = DISPLAY.sub(lambda found: _display(found[1]), page)
    return INLINE.sub(lambda found: _math(found[1], "inline"), page)


def _display(latex: str) -> str:
    """Returns a displayed formula; its parts stand side by side where there is room, else one below the other."""
    parts = [_math(part, "block") for part in html.unescape(latex).split(r"\qquad") if part.strip()]
    return parts[0] if len(parts) == 1 else f'<div class="formulas">{"".join(parts)}</div>'


def _math(latex: str, display: str) -> str:
    return PRIME.sub(r"<mrow>\1<mo>\2</mo></mrow>", convert(html.unescape(latex).strip(), display=display))
