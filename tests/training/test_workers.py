"""Several processes train as one; and when one of them is missing or gone, the others say so and end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tfbp import InputError
from tfbp.training import multi_worker_strategy
from tfbp.training.local_workers import PARENT, WorkerFailure, run_local_workers

WORKER = str(Path(__file__).parent / "worker.py")
MINUTES = 6


@pytest.fixture
def bounded():
    """Every test here ends, whatever TensorFlow waits for."""

    def stop(*_):
        raise TimeoutError(f"after {MINUTES} minutes")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60 * MINUTES)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def run(what, directory):
    failure = run_local_workers([sys.executable, WORKER, what, str(directory), "120"], 2, lambda line: None)
    assert failure is None, failure
    return [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]


@pytest.mark.usefixtures("bounded")
def test_two_workers_train_as_one(tmp_path):
    found = run("train", tmp_path)
    assert len(found) == 2
    for worker in found:
        assert worker["two history"].keys() == worker["one history"].keys()
        for name, values in worker["one history"].items():
            # Keras counts metrics in float32
            np.testing.assert_allclose(worker["two history"][name], values, rtol=1e-6, err_msg=name)
        for got, expected in zip(worker["two weights"], worker["one weights"], strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)
        np.testing.assert_allclose(worker["two evaluate"], worker["one evaluate"], rtol=1e-6)
        assert worker["other arguments"] == (
            "fit: got workers with different x, y or weights, epochs; accepted: the same arguments for every worker."
        )
        assert worker["tf.data"].startswith("x: got a _TensorDataset under MultiWorkerMirroredStrategy; accepted: arr")
        assert worker["resumed epochs"] == [1, 2]
        assert worker["resumed weights"] == worker["two weights"] == found[0]["two weights"]


@pytest.mark.usefixtures("bounded")
def test_a_worker_that_vanishes_is_named_in_one_sentence(tmp_path):
    (found,) = run("vanish", tmp_path)
    assert found["error"].startswith("A worker is gone (")
    assert found["error"].endswith("): start all of them again.")
    assert "\n" not in found["error"]


@pytest.mark.usefixtures("bounded")
@pytest.mark.rare("it waits for TensorFlow's own time to run out")
def test_a_worker_whose_peer_never_starts_ends_in_time(tmp_path):
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}})
    done = subprocess.run(
        [sys.executable, WORKER, "train", str(tmp_path), "3"],
        env={**os.environ, "TF_CONFIG": config},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGALRM
    sentence = "127.0.0.1:2: after 3 seconds, not all of the other workers (127.0.0.1:1) have started."
    assert done.stderr.strip().splitlines()[-1] == sentence


def as_worker(*programs):
    """A command that runs the program of its number."""
    choose = "import json, os, sys, time; index = json.loads(os.environ['TF_CONFIG'])['task']['index']; "
    return [sys.executable, "-c", choose + f"exec({list(programs)!r}[index])"]


@pytest.mark.parametrize(
    ("program", "failure", "text"),
    [
        ("print('x: got 1.', file=sys.stderr); sys.exit(2)", WorkerFailure(1, 2, "x: got 1."), "Worker 1: x: got 1."),
        ("sys.exit(3)", WorkerFailure(1, 3, ""), "Worker 1: ended with status 3."),
        ("os.kill(os.getpid(), 9)", WorkerFailure(1, -9, ""), "Worker 1: killed by signal 9 (SIGKILL)."),
    ],
    ids=["says-why", "says-nothing", "killed"],
)
def test_one_failure_ends_all(program, failure, text, tmp_path):
    pid = tmp_path / "pid"
    waits = f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    sees_it = f"\nwhile not os.path.exists({str(pid)!r}): time.sleep(0.01)\ntime.sleep(0.2)\n"
    started = time.monotonic()
    found = run_local_workers(as_worker(waits, sees_it + program), 2, lambda line: None)
    assert found == failure
    assert str(found) == text
    assert time.monotonic() - started < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_the_first_worker_s_lines_are_heard():
    lines = []
    program = "print('epoch 1', file=sys.stderr, flush=True); time.sleep(0.5)"
    assert run_local_workers(as_worker(program, ""), 2, lines.append) is None
    assert "epoch 1" in lines


def test_workers_end_when_their_parent_is_gone():
    program = "import time; from tfbp.training import die_with_parent; die_with_parent(); time.sleep(1000)"
    environment = {**os.environ, PARENT: "1" if os.getpid() != 1 else "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, timeout=120)
    assert done.returncode == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}'], ids=repr
)
def test_a_tf_config_that_is_none_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r"^TF_CONFIG: got .*; accepted: JSON as in"):
        multi_worker_strategy()


def test_a_time_to_start_that_is_none_is_one_sentence():
    with pytest.raises(InputError, match=r"^start_within: got 0; accepted: a finite number of seconds above 0\.$"):
        multi_worker_strategy(0)
