"""The parts that all commands share: sentences for bad input, files that can be written, memory."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfbp import InputError
from tfbp.console import options

ROOT = Path(__file__).parents[2]
PATTERNS = ("*.py", "benchmarks/benchmark*.py", "trials/*.py")
SCRIPTS = sorted(
    str(path.relative_to(ROOT / "scripts")) for pattern in PATTERNS for path in (ROOT / "scripts").glob(pattern)
)


def parser():
    parser = options.Parser("")
    parser.add_argument("what", choices=("kill", "burn"))
    parser.add_argument("--inputs", required=True, help="shapes, e.g. 4x7")
    parser.add_argument("--count", type=int)
    return parser


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "what: got none; accepted: kill, burn."),
        (["kill"], "--inputs: got none; accepted: shapes, e.g. 4x7."),
        (["bury", "--inputs", "3"], "what: got 'bury' (did you mean 'burn'?); accepted: kill, burn."),
        (
            ["--cuont", "3"],
            "--cuont: got an unknown option (did you mean --count?); accepted: --help, --inputs, --count.",
        ),
        (["kill", "--inputs", "3", "--cuont=3"], "--cuont: got an unknown option (did you mean --count?); accepted:"),
        (["kill", "more", "--inputs", "3"], "more: got a word after all arguments; accepted: --help,"),
        (["kill", "--inputs"], "--inputs: got nothing after it; accepted: one value."),
        (["kill", "--inputs", "3", "--count", "x"], "--count: got 'x'; accepted: an integer."),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_bad_options_are_one_sentence(given, said, capsys):
    with pytest.raises(SystemExit) as exit:
        parser().parse_args(given)
    err = capsys.readouterr().err
    assert exit.value.code == 2
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_reads_its_options_before_anything_heavy(script):
    # blocked: whoever imports one of these before the options are read ends in an ImportError
    blocked = "sys.modules.update(tensorflow=None, keras=None, scipy=None, sklearn=None, matplotlib=None)"
    path = str(ROOT / "scripts" / script)
    code = (
        f"import runpy, sys; {blocked}; sys.path.insert(0, {os.path.dirname(path)!r}); sys.argv[:] = [{path!r}, {{!r}}]"
    )
    code += f"; runpy.run_path({path!r}, run_name='__main__')"
    for asked, status in (("--help", 0), ("--no-such-option", 2)):
        done = subprocess.run([sys.executable, "-c", code.format(asked)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        if status:
            assert done.stderr.startswith("--no-such-option: got an unknown option"), done.stderr
            assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["folder", "below a file", "no folder", "nothing"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, kind):
    (tmp_path / "file").write_text("kept")
    path = {
        "folder": tmp_path,
        "below a file": tmp_path / "file" / "x",
        "no folder": tmp_path / "no" / "x",
        "nothing": "",
    }
    with pytest.raises(InputError, match=r"^json: got '.*' \(.*\); accepted: a file that can be written\.$"):
        options.check_file("json", str(path[kind]))
    assert os.listdir(tmp_path) == ["file"]


def test_looking_at_a_file_leaves_what_there_is(tmp_path):
    (tmp_path / "old").write_text("kept")
    for name in ("old", "new"):
        options.check_file("json", str(tmp_path / name))
    options.check_file("json", None)
    options.check_directory("output", tmp_path / "made" / "here")
    assert (tmp_path / "old").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["made", "old"]
    assert os.listdir(tmp_path / "made" / "here") == []
    with pytest.raises(InputError, match=r"^output: got .* \(.*\); accepted: a directory that can be written\.$"):
        options.check_directory("output", tmp_path / "old")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: np.zeros((10**7, 10**9)), "an array with shape (10000000, 1000000000) and data type float64"),
        (lambda: tf.fill([10**7, 10**6], 1.0), "a tensor with shape[10000000,1000000] and type float"),
    ],
    ids=["numpy", "tensorflow"],
)
def test_what_is_too_large_is_one_sentence(ask, said, capsys):
    def command(arguments):
        ask()
        return 0

    assert options.run(options.Parser(""), command, []) == 2
    err = capsys.readouterr().err
    assert err == f"memory: got {said}; accepted: {options.what_fits()}.\n"


def test_another_error_is_not_taken_for_one_of_memory():
    def command(arguments: argparse.Namespace):
        raise ValueError("shape")

    with pytest.raises(ValueError, match="shape"):
        options.run(options.Parser(""), command, [])


def test_names_are_found_by_a_part():
    assert options.part_of("only", "a", ["tanh", "relu", "a"]) == ["tanh", "a"]
    with pytest.raises(InputError, match=r"^only: got 'x', which no name contains; accepted: part of tanh, relu\.$"):
        options.part_of("only", "x", ["tanh", "relu"])
    with pytest.raises(InputError, match="accepted: each name once"):
        options.choices("mode", "a,a", ["a"])
