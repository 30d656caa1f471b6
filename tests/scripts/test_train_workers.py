"""train.py --workers: two processes leave what one leaves, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.rare("two processes train, a minute each")

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
CHILDREN = Path("/proc/self/task")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process):
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    return process.returncode, out, err


def test_two_workers_leave_what_one_leaves(tmp_path):
    common = ("--gradients", "manual", "--epochs", 1, "--layers", "16", "--dtype", "float64", "--optimizer", "momentum")
    tables, saved = [], []
    for workers in (1, 2):
        directory = tmp_path / str(workers)
        status, out, err = ended(start("--workers", workers, *common, "--log-dir", directory))
        assert status == 0, out + err
        rows = [line.split() for line in out.splitlines() if line.startswith("manual")]
        tables.append([row[:3] for row in rows])
        saved.append(np.load(directory / "manual" / "parameters.npz"))
        # only the first worker writes, and as one run
        assert len(list(directory.glob("*/*/events.*"))) == 2
        assert len([line for line in out.splitlines() if line.startswith("gradients ")]) == 1
    assert tables[0] == tables[1]
    assert len(tables[0]) == 1
    one, two = saved
    for name in set(one.files) - {"network"}:
        # 45 steps of float64 rounding, of weights around 1
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-13)


@pytest.mark.skipif(not CHILDREN.exists(), reason="finds the workers through Linux's /proc")
def test_a_killed_worker_ends_the_run_with_one_sentence(tmp_path):
    process = start("--workers", 2, "--epochs", 10**6, "--log-dir", tmp_path / "run")
    try:
        deadline = time.monotonic() + 180
        while not (tmp_path / "run" / "manual" / "parameters.npz").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        first, second = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        os.kill(second, signal.SIGKILL)
    finally:
        killed = time.monotonic()
        status, _, err = ended(process)
    assert status == 1
    assert err.strip().splitlines()[-1] == "Worker 1: killed by signal 9 (SIGKILL)."
    assert time.monotonic() - killed < 60
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
