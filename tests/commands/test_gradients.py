"""`tfbp gradients`: the exit status, the files, and bad input in one sentence; and the fixture `gradients`."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tfbp.commands.gradients import imported, main
from tfbp.errors import InputError

MINE = """
import tensorflow as tf

@tf.custom_gradient
def wrong(x):
    return tf.tanh(x), lambda dy: -dy * (1 - tf.tanh(x) ** 2)

def right(x, kernel):
    return tf.tanh(tf.matmul(x, kernel))

def loss(logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
"""
QUICK = ["--mode", "eager", "--dtype", "float64"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_on_trial.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_on_trial", raising=False)


def test_what_agrees_exits_0_and_what_does_not_1(mine, capsys):
    assert main(["mine_on_trial:right", "--inputs", "4x7,7x5", *QUICK]) == 0
    assert capsys.readouterr().out.startswith("right: its gradients agree; test point: good\n")
    assert main(["mine_on_trial:loss", "--inputs", "6x5,6:5", *QUICK]) == 0
    assert main(["mine_on_trial:wrong", "--inputs", "4x7", "--json", "a.json", "--junit", "a.xml", *QUICK]) == 1
    found = json.loads(Path("a.json").read_text())
    assert not found["agrees"]
    assert found["findings"][0]["cause"] == "the sign is flipped"
    suite = ElementTree.parse("a.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "1")
    assert "the sign is flipped" in suite[0][0].attrib["message"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["mine_on_trial:right", "--inputs", "4y7"], "--inputs: got '4y7'; accepted: shapes as 4x7"),
        (["mine_on_trial:right", "--inputs", "0x7"], "--inputs: got '0x7'; accepted"),
        (["mine_on_trial:write", "--inputs", "4"], "function: got 'mine_on_trial:write', AttributeError"),
        (
            ["not_there:f", "--inputs", "4"],
            "function: got 'not_there:f', and there is no package 'not_there'; accepted:",
        ),
        (["tfbp.not_there:f", "--inputs", "4"], "function: got 'tfbp.not_there:f', ModuleNotFoundError"),
        (["..x:f", "--inputs", "4"], "function: got '..x:f', and there is no package ''; accepted:"),
        (["mine_on_trial", "--inputs", "4"], "function: got 'mine_on_trial'; accepted: package.module:function"),
        (["mine_on_trial:right", "--inputs", "4", "--dtype", "f64"], "--dtype: got 'f64'"),
        (["mine_on_trial:right", "--inputs", "4", "--mode", "jit"], "--mode: got 'jit'"),
        (["mine_on_trial:right", "--inputs", "4", "--json", "no/where"], "--json: got 'no/where'"),
        (["mine_on_trial:right", "--inputs", "4", "--seed", "-1"], "--seed: got -1"),
        (["mine_on_trial:right", "--inputs", "4x7,4x7", *QUICK], "function: got InvalidArgumentError"),
    ],
    ids=lambda value: "-".join(value[:3]) if isinstance(value, list) else "",
)
def test_bad_input_exits_2_with_one_sentence(mine, capsys, options, said):
    assert main(options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1


def test_a_module_that_raises_is_bad_input(tmp_path, monkeypatch):
    (tmp_path / "raises_at_once.py").write_text("raise RuntimeError('no')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"^function: got 'raises_at_once:f', RuntimeError: no; accepted: package"):
        imported("function", "raises_at_once:f")


def test_the_plugin_loads_no_tensorflow_and_its_failure_is_the_report(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        MINE
        + "def test_right(gradients):\n    gradients(right, [tf.ones((3, 2)), tf.eye(2)], modes=['eager'])\n"
        + "def test_wrong(gradients):\n    gradients(wrong, [[0.5, -1.5, 2.0]], modes=['eager'])\n"
    )
    (tmp_path / "conftest.py").write_text(
        "import sys\ndef pytest_configure():\n    assert 'tensorflow' not in sys.modules\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tfbp.pytest_plugin", "-p", "no:cacheprovider", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "wrong: 1 finding; test point: good\n  x [float64, float32, eager]: the sign is flipped" in done.stdout
    assert "Traceback" not in done.stdout
