"""The runs of scripts/trials/survival.py, as a person would start them: real kills, real write errors."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "trials" / "survival.py"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["kill"],
            "killed by signal 9 in the middle of epoch 3\nstarts at epoch 3\nthe weights are identical to the last",
        ),
        (["kill", "--callback", "keras"], "starts at epoch 3\nthe weights are identical to the last bit"),
        (["full-disk"], "cannot be written (File too large); the backup of 2 epochs is whole.\nstarts at epoch 2"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
@pytest.mark.rare("three processes each; the backup's tests resume from the same files in one")
def test_survives(arguments, said):
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout
