"""The parts that all commands share: sentences for bad input, files that can be written, memory."""

import argparse
import json
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


# each script in a process of its own, forked from one with nothing heavy: an import of that ends in an ImportError
READ_OPTIONS = """
import json, os, runpy, sys
sys.modules.update(tensorflow=None, keras=None, scipy=None, sklearn=None, matplotlib=None)
import tfbp, tfbp.bridge.methods, tfbp.console.options
for path, asked in json.loads(sys.argv[1]):
    print("\\n====", flush=True)
    if not os.fork():
        sys.path.insert(0, os.path.dirname(path))
        sys.argv[:] = [path, asked]
        os.dup2(1, 2)
        runpy.run_path(path, run_name="__main__")
        sys.exit()
    print("status", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def test_every_script_reads_its_options_before_anything_heavy():
    asked = [
        (str(ROOT / "scripts" / script), option) for script in SCRIPTS for option in ("--help", "--no-such-option")
    ]
    program = [sys.executable, "-c", READ_OPTIONS, json.dumps(asked)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=600)
    answers = done.stdout.split("\n====\n")[1:]
    assert len(answers) == len(asked), done.stdout + done.stderr
    for (script, option), answer in zip(asked, answers, strict=True):
        if option == "--help":
            assert answer.endswith("status 0\n"), (script, answer)
        else:
            assert answer.startswith("--no-such-option: got an unknown option"), (script, answer)
            assert answer.endswith("status 2\n"), (script, answer)
            assert answer.count("\n") == 2, (script, answer)


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
