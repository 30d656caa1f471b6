"""A command prints its own lines and nothing of TensorFlow's start, whatever it imports first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "seed": ("seed",),
    "agree": ("agree", "--case", "sigmoid-B12", "--dtype", "float64", "--mode", "eager"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.sampled(3)
def test_nothing_of_tensorflow_s_chatter_is_printed(command):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    program = [sys.executable, "-m", "tfbp", *command]
    ran = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=600)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        ["scripts/trials/check_tensorflow.py"],
        ["scripts/trials/mutation.py"],
        ["scripts/trials/mutation_benchmark.py"],
        ["scripts/trials/fuzz_fit.py"],
        ["scripts/boolean_functions.py", "--inputs", "2", "--learn"],
        ["scripts/benchmarks/benchmark_per_example.py"],
        ["-m", "tfbp", "train", "--gradients", "manual"],
        ["-m", "tfbp", "gradients", "tensorflow:tanh", "--inputs", "4"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_ctrl_c_while_tensorflow_is_imported_is_one_line(tmp_path, command):
    # a stand-in for TensorFlow, whose import talks and is then stopped
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'chatter\\n')\nraise KeyboardInterrupt\n")
    (tmp_path / "keras.py").write_text("import tensorflow\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    program = [sys.executable, *(str(ROOT / word) if word.startswith("scripts/") else word for word in command)]
    ran = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=600)
    assert (ran.returncode, ran.stderr) == (130, "stopped\n")


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [("KeyboardInterrupt", 130, "stopped\n"), ("ImportError('broken')", 1, "chatter\n")],
    ids=["ctrl-c", "broken"],
)
def test_what_was_held_back_is_told_where_the_import_fails_and_not_at_ctrl_c(tmp_path, raised, status, said):
    # a stand-in for TensorFlow, whose import talks and then ends so
    (tmp_path / "tensorflow.py").write_text(f"import os\nos.write(2, b'chatter\\n')\nraise {raised}\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    program = [sys.executable, "-m", "tfbp", "seed"]
    ran = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=600)
    assert ran.returncode == status, ran.stderr
    assert ran.stderr.startswith(said)
    assert ("chatter" in ran.stderr) == (status == 1)
