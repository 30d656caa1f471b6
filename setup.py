"""The README as a package index shows it: there, links and pictures have to be absolute. All else: pyproject.toml."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"].rstrip("/")
LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)]*)\)")


def absolute(found: re.Match[str]) -> str:
    picture, text, path = found.groups()
    return f"{picture}{text}({REPOSITORY}/{'raw' if picture else 'blob'}/main/{path})"


readme = LINK.sub(absolute, (ROOT / "README.md").read_text())
setup(long_description=readme, long_description_content_type="text/markdown")
