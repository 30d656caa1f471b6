"""The project's name and address, read from pyproject.toml, their only place."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def repository() -> str:
    """Returns the address of the code host's page, without a slash at its end."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"].rstrip("/")
