"""With op determinism two runs give the same bits, on a GPU too; an operation without such a kernel is one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tfbp import manual
from tfbp.agreement.cases import shape_cases
from tfbp.agreement.matrix import Cell, run_cell
from tfbp.agreement.report import complaints
from tfbp.console import options

SCRIPT = Path(__file__).parent / "deterministic.py"


def run(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.rare("two processes")), "gpu"])
def test_two_runs_give_the_same_bits(device):
    if not tf.config.list_physical_devices(device.upper()):
        pytest.skip("there is no GPU here: what its kernels add up, and in which order, takes one to see")
    first, second = (run(SCRIPT, device) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    first, second = (json.loads(each.stdout.splitlines()[-1]) for each in (first, second))
    assert len(first) == 9
    assert {name for name in first if first[name] != second[name]} == set()
    # different programs and cases have different bits: it is not nothing that is compared
    assert len(set(first.values())) >= 7


@pytest.mark.rare("two commands in a process of their own")
def test_train_and_check_can_be_asked_for_it(tmp_path):
    train = ["train", "--deterministic", "--epochs", "1", "--gradients", "manual", "--log-dir", str(tmp_path / "logs")]
    agree = ["agree", "--deterministic", "--case", "dense", "--mode", "graph", "--dtype", "float32"]
    # one after another in a process of its own, because determinism cannot be turned off again
    code = f"import sys; from tfbp.__main__ import main; sys.exit(main({train}) or main({agree}))"
    done = run("-c", code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Curves: " in done.stdout
    assert "Compared: " in done.stdout


@pytest.mark.parametrize(
    ("said", "operation"),
    [
        (
            "Deterministic GPU implementation of unsorted segment reduction op not available.",
            "unsorted segment reduction",
        ),
        (
            "{{function_node x}} A deterministic GPU implementation of DepthwiseConvBackpropFilter is not currently "
            "available.\n\t [[node x]] [Op:__inference_train_step_19847]",
            "DepthwiseConvBackpropFilter",
        ),
        ("Determinism is not yet supported for Scatter", "Determinism is not yet supported for Scatter"),
    ],
    ids=["op", "function", "other-words"],
)
def test_an_operation_without_a_deterministic_kernel_is_one_sentence(capsys, said, operation):
    parser = options.Parser("")
    parser.add_argument("--deterministic", action="store_true")

    def command(arguments):
        raise tf.errors.UnimplementedError(None, None, said)

    assert options.run(parser, command, []) == 2
    sentence = (
        "--deterministic: got it where TensorFlow has no deterministic kernel ({}); accepted: a run without it, or "
    )
    assert capsys.readouterr().err == sentence.format(operation) + "on another device.\n"


def test_what_is_not_implemented_otherwise_is_not_hidden():
    def command(arguments):
        raise tf.errors.UnimplementedError(None, None, "no such thing")

    with pytest.raises(tf.errors.UnimplementedError):
        options.run(options.Parser(""), command, [])


def test_in_the_matrix_it_is_a_verdict_of_one_line(monkeypatch):
    said = "Deterministic GPU implementation of unsorted segment reduction op not available."

    def refused(dz, residuals, **options):
        raise tf.errors.UnimplementedError(None, None, said)

    monkeypatch.setattr(manual.dense, "dense_backward", refused)
    (line,) = complaints(run_cell(Cell(next(shape_cases()), "float32", "eager")), [], [])[:1]
    assert f"layer 0 dkernel of manual: UnimplementedError: {said}" in line
    assert "\n" not in line
