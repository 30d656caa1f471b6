"""The GPU report runs to its end on a CPU, smaller and marked so, and goes on where it was cut off."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from tfbp.commands import gpu_report
from tfbp.gpu_report import page, plan, processes, store

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu_report.py"
WANTED = [group.id_of(point) for group in plan.plan(small=True) for point in group.points]


def start(directory, *arguments):
    command = [sys.executable, SCRIPT, "--device", "cpu", "--output", directory, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def units_of(directory):
    return json.loads((directory / store.JSON).read_text())["units"]


@pytest.mark.rare("it times programs in processes of their own")
def test_it_runs_to_its_end_on_a_cpu_after_it_was_killed(tmp_path):
    killed = start(tmp_path)
    for line in killed.stdout:
        if line.startswith("[2/"):
            break
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = units_of(tmp_path)
    assert list(before) == WANTED[:2]
    assert "Left for the next run of the same command: " in (tmp_path / store.PAGE).read_text()

    again = start(tmp_path)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, out + err
    assert err == ""
    first, *lines = out.splitlines()
    assert first.endswith(f"{len(WANTED)} measurements, 2 of them made before")
    assert [re.match(r"\[(\d+)/", line)[1] for line in lines[:-1]] == [str(n) for n in range(3, len(WANTED) + 1)]
    units = units_of(tmp_path)
    assert set(units) == set(WANTED)
    assert {name: units[name] for name in before} == before
    for name, unit in units.items():
        peer = "jax" in name or "torch" in name
        assert "result" in unit or (peer and "not installed" in unit["unavailable"]), name
    text = (tmp_path / store.PAGE).read_text()
    assert page.ON_A_CPU in text
    assert f"{len(WANTED)} of {len(WANTED)} measurements." in text
    assert "Left for" not in text
    assert "error" not in text.replace("error / tolerance", "").replace("error m / t", "")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [store.JSON, store.PAGE]
    # by hand it needs less memory than the logits that the tape keeps
    heads = [units[f"cross-entropy {name} graph 2048"]["result"] for name in plan.HEADS]
    assert None in [head["extra_bytes"] for head in heads] or heads[0]["extra_bytes"] < heads[1]["extra_bytes"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "tpu"], "--device: got 'tpu' (did you mean 'gpu'?); accepted: cpu, gpu.\n"),
        (["--minutes", "0"], "--minutes: got 0.0; accepted: a finite number above 0.\n"),
        (["--minutes", "nan"], "--minutes: got nan; accepted: a finite number above 0.\n"),
        (["--minutes", "ten"], "--minutes: got 'ten'; accepted: a number.\n"),
        (["--output", __file__], f"--output: got {__file__!r} (File exists); accepted: a directory that can be"),
    ],
    ids=["device", "no-time", "nan", "no-number", "a-file"],
)
def test_bad_input_is_one_sentence_and_status_2(capsys, arguments, sentence):
    try:
        status = gpu_report.main(arguments)
    except SystemExit as end:  # argparse
        status = end.code
    assert status == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_without_a_gpu_it_says_so(tmp_path, capsys, monkeypatch):
    # none is to be seen, whatever the machine has
    monkeypatch.setattr(processes, "ACCELERATED", processes.ALONE)
    assert gpu_report.main(["--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "--device: got 'gpu', which TensorFlow does not find here; accepted: cpu.\n"
    assert list(tmp_path.iterdir()) == []


class Scripted:
    """A process with fixed answers; every `Exception` is raised, "dies" is answered and ends it."""

    answers: ClassVar = {}
    started = 0

    def __init__(self, device):
        type(self).started += 1
        self.is_alive = True

    def ask(self, section, point, seconds):
        found = self.answers.get(point["size"], {"result": point["size"]})
        if isinstance(found, Exception):
            raise found
        if found == "dies":
            self.is_alive = False
            return {"error": "its process ended with status -9: no message"}
        return found

    def close(self):
        pass


GROUP = plan.Group("steps", tuple({"names": ("size",), "size": f"s{n}"} for n in range(4)))


def measured(monkeypatch, tmp_path, seconds=60, **answers):
    monkeypatch.setattr(Scripted, "answers", answers)
    monkeypatch.setattr(Scripted, "started", 0)
    monkeypatch.setattr(processes, "Process", Scripted)
    kept = store.Store(tmp_path, {})
    for name, found in gpu_report.measurements([GROUP], kept, "cpu", gpu_report.time.monotonic(), seconds):
        kept.add(name, found)
    return {name: next(key for key in unit if key != "seconds") for name, unit in units_of(tmp_path).items()}


def test_a_process_that_dies_takes_no_other_measurement_with_it(monkeypatch, tmp_path):
    found = measured(monkeypatch, tmp_path, s1="dies")
    assert found == {"steps s0": "result", "steps s1": "error", "steps s2": "result", "steps s3": "result"}
    assert Scripted.started == 2
    # a second run tries again what broke, and that alone
    assert set(measured(monkeypatch, tmp_path, s0="dies", s2="dies").values()) == {"result"}


def test_what_ran_out_of_time_is_left_for_the_next_run(monkeypatch, tmp_path):
    found = measured(monkeypatch, tmp_path, s2=processes.OutOfTime())
    assert found == {"steps s0": "result", "steps s1": "result", "steps s3": "result"}
    assert list(measured(monkeypatch, tmp_path)) == ["steps s0", "steps s1", "steps s3", "steps s2"]


def test_without_time_nothing_is_begun(monkeypatch, tmp_path):
    (tmp_path / store.JSON).write_text('{"machine": {}, "units": {}}')
    assert measured(monkeypatch, tmp_path, seconds=0) == {}
    assert Scripted.started == 0
