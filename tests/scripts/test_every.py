"""make test runs every part, and tells at the end of all that failed."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / ".ci" / "every.py"


def run(*commands):
    done = subprocess.run([sys.executable, SCRIPT, *commands], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_every_part_is_run_and_all_failures_are_shown_at_the_end():
    status, out = run("echo first; exit 3", "echo 'FAILED tests/test_a.py::test_b - boo'; exit 1", "echo last")
    assert status == 1
    assert out.index("first") < out.index("last") < out.index("1 of 3 parts passed")
    assert out.partition("1 of 3 parts passed")[2].splitlines()[1:] == [
        "Failed: echo first; exit 3",
        "Failed: echo 'FAILED tests/test_a.py::test_b - boo'; exit 1",
        "  FAILED tests/test_a.py::test_b - boo",
    ]


def test_without_a_failure_the_status_is_0():
    status, out = run("true", "echo done")
    assert (status, out.splitlines()[-1].split(",")[0]) == (0, "2 of 2 parts passed")
