"""boolean_functions.py and approximate.py, as a person types them."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.syspath_prepend(SCRIPTS)
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        out, err = capsys.readouterr()
        return exit.value.code, out, err

    return run


def test_every_boolean_function_is_counted(run):
    status, out, _ = run("boolean_functions.py", "--inputs", "3")
    assert status == 0
    assert out.splitlines()[-1].split() == ["3", "256", "0", "4", "2.91", "4", "3", "0"]


def test_xor_and_the_other_functions_of_two_inputs_are_learned(run):
    status, out, _ = run("boolean_functions.py", "--inputs", "2", "--learn", "--seeds", "5")
    assert status == 0
    row = out.splitlines()[-3].split()
    assert row[:5] == ["2", "all", "16", "2", "80"]
    assert float(row[5].rstrip("%")) > 80


def test_continuous_functions_to_a_twentieth(run):
    status, out, _ = run("approximate.py", "--precision", "0.05")
    assert status == 0
    row = next(line for line in out.splitlines() if line.startswith("exp x"))
    assert float(row.split()[3]) < 0.05


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        ("boolean_functions.py", ["--inputs", "5"], "--inputs: got 5; accepted: 1 to 4."),
        ("boolean_functions.py", ["--seeds", "0"], "--seeds: got 0; accepted: 1 to 1000."),
        (
            "approximate.py",
            ["--precision", "0"],
            "--precision: got 0; accepted: a finite number of at least 1e-05.",
        ),
    ],
)
def test_bad_input_is_one_sentence(run, script, arguments, sentence):
    status, _, err = run(script, *arguments)
    assert (status, err.strip()) == (2, sentence)
