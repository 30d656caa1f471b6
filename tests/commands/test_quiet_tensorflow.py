"""A command prints its own lines and nothing of TensorFlow's start, whatever it imports first."""

import os
import subprocess
import sys

import pytest

COMMANDS = {
    "check": ("check", "--case", "sigmoid-B12", "--dtype", "float64", "--mode", "eager"),
    "seed": ("seed",),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_nothing_of_tensorflow_s_chatter_is_printed(command):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    program = [sys.executable, "-m", "tfbp", *command]
    ran = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=600)
    assert (ran.returncode, ran.stderr) == (0, "")
