"""How the tests of scripts run one: in this process, as a person would by its name."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def run(monkeypatch, capsys):
    """run(script, *options) -> its exit status, what it printed, and what it said on stderr."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        monkeypatch.syspath_prepend((SCRIPTS / script).parent)
        try:
            runpy.run_path(str(SCRIPTS / script), run_name="__main__")
            status = 0
        except SystemExit as exit:
            status = exit.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return run
