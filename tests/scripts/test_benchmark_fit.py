"""scripts/benchmarks/benchmark_fit.py: the gate holds for every kind of model; a race of one times every contestant."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmarks" / "benchmark_fit.py"


def run(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)


@pytest.mark.rare("it times programs in processes of their own")
def test_every_contestant_has_a_time(tmp_path):
    path = tmp_path / "fit.json"
    ran = run("--models", "gan", "--rounds", "2", "--steps", "4", "--json", str(path))
    assert ran.returncode == 0, ran.stderr
    (times,) = json.loads(path.read_text()).values()
    # the last two are elsewhere, or cannot take part: the train_step is TensorFlow's
    assert list(times)[-2:] == ["Keras on JAX", "PyTorch"]
    assert len(times) == 11
    # no layers to swap in a model that is a class
    assert times.pop("tfbp.fit, swapped") == []
    assert all(len(each) == 2 and min(each) > 0 for each in list(times.values())[:8])
    assert "PyTorch" in ran.stdout
    assert "Microseconds a step" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--models", "resnet"), "--models: got 'resnet'; accepted: tabular, wide-and-deep"),
        (("--rounds", "0"), "--rounds: got 0; accepted: an integer of at least 1."),
        (("--json", "/no/such/folder/file"), "--json: got '/no/such/folder/file' (No such file or directory)"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    ran = run(*arguments)
    assert ran.returncode == 2
    assert ran.stderr.strip().startswith(sentence)
    assert len(ran.stderr.strip().splitlines()) == 1
