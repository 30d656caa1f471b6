"""The benchmark of per-example gradients runs to its end, and throws out wrong numbers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / "benchmarks" / "benchmark_per_example.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.rare("it times programs in processes of their own")
def test_every_contestant_is_timed_in_every_mode(tmp_path):
    done = run("--rounds", 2, "--seconds", 0.001, "--json", tmp_path / "all.json")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "all.json").read_text())["results"]
    by_mode = {}
    for result in results:
        by_mode.setdefault(result["mode"], []).append(result["gradient"])
        assert len(result["microseconds"]) == 2
        assert min(result["microseconds"]) > 0
    assert list(by_mode) == ["tf.function", "XLA", "arrays", "tf.data"]
    assert len(by_mode["XLA"]) == len(by_mode["tf.function"]) == 6
    assert by_mode["arrays"] == by_mode["tf.data"] == ["fit", "fit, clipped"]
    for name in by_mode["XLA"]:
        assert name in done.stdout


def test_a_wrong_norm_is_thrown_out(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import per_example

    monkeypatch.setattr(per_example, "WIDTH", 8)
    monkeypatch.setattr(per_example, "BATCH", 4)
    network = per_example.Network(8, [per_example.Dense(8, "relu"), per_example.Dense(8)], per_example.NETWORK.loss)
    monkeypatch.setattr(per_example, "NETWORK", network)
    per_example.calls(False)
    right = per_example.manual.per_example.norms_from
    monkeypatch.setattr(per_example.manual.per_example, "norms_from", lambda *args: 1.001 * right(*args))
    with pytest.raises(AssertionError, match="manual"):
        per_example.calls(False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rounds", "0"], "--rounds: got 0; accepted: an integer of at least 1."),
        (["--seconds", "nan"], "--seconds: got nan; accepted: a finite number above 0."),
        (
            ["--json", "/nowhere/all.json"],
            "--json: got '/nowhere/all.json' (No such file or directory); accepted: a file",
        ),
    ],
    ids=lambda value: "-".join(value[:1]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_status_2(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.strip().splitlines()) == 1
