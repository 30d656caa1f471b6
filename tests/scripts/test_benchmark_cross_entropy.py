"""The cross-entropy benchmark: it finds the chunks' memory, and throws out what computes another thing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / "benchmarks" / "benchmark_cross_entropy.py", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.rare("it times programs in processes of their own")
def test_memory_is_what_the_chunks_need(tmp_path):
    size = ["--tokens", 8192, "--width", 16, "--classes", 16384, "--growth", 0]
    done = run(*size, "--modes", "graph", "--rounds", 2, "--json", tmp_path / "all.json")
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = json.loads((tmp_path / "all.json").read_text())["results"]
    logits, chunk = 4 * 8192 * 16384, 2**25
    assert result["extra_bytes"]["tape"] >= logits
    # one chunk, and what the allocator cannot use again
    assert chunk <= result["extra_bytes"]["manual"] < 2.5 * chunk
    assert all(len(seconds) == 2 for seconds in result["seconds"].values())
    assert "graph" in done.stdout


def test_what_computes_another_thing_is_thrown_out(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import cross_entropy

    class Process:
        def __init__(self, label, worker, point):
            self.fingerprint = [1.0, 5.0, 0.001, 7.0, found[label]]

        def ask(self, do):
            return {"extra_bytes": 1, "fingerprint": self.fingerprint} if do == "start" else {"seconds": 1.0}

        def close(self):
            pass

    monkeypatch.setattr(cross_entropy, "Process", Process)
    point = cross_entropy.CrossEntropyPoint("graph", 1, 1, 1)
    found = {"manual": -2.0001, "tape": -2.0}
    assert cross_entropy.measure(point, 3, print).error == ""
    for wrong in (-2.001, float("nan")):
        found["manual"] = wrong
        assert "computed different things" in cross_entropy.measure(point, 3, print).error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--modes", "jit"], "--modes: got 'jit'; accepted: graph, xla, eager."),
        (["--tokens", "0"], "--tokens: got 0; accepted: an integer of at least 1."),
        (["--growth", "-1"], "--growth: got -1; accepted: an integer of at least 0."),
        (["--growth", "0", "--chart", "a.svg"], "--chart: got 'a.svg'; accepted: none without growth."),
        (
            ["--json", "/no/such/place"],
            "--json: got '/no/such/place' (No such file or directory); accepted: a file",
        ),
    ],
    ids=["modes", "tokens", "growth", "chart", "json"],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
