"""tfbp.Model on two devices: history and weights of the plain run, to rounding."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfbp.training.workers import is_chief

SCRIPT = Path(__file__).parent / "on_two_devices.py"
# the weights, around 1, after at most 35 steps: float32's rounding; float16's activations and deltas; float64's
TOLERANCES = {"regression-float64": 1e-13, "mixed_float16": 1e-3}
CASES = ("manual", "tape", "regression-float64", "mixed_float16", "a-replica-without-rows", "tf.data", "callbacks")
SENTENCES = {
    "optimizer": "optimizer: got a SGD made outside the model's strategy; accepted: a name, or one made in `with str",
    "metrics": "metrics: got a MeanSquaredError made outside the model's strategy; accepted: a name, or one made in",
    "accumulation": "optimizer: got gradient_accumulation_steps=2 under a strategy; accepted: none",
    "ema": "optimizer: got ema_overwrite_frequency=3 under a strategy; accepted: none",
    "batch_size": "batch_size: got 1; accepted: at least 2, a row for each replica.",
}

# one process runs what all of these need
pytestmark = pytest.mark.xdist_group("two devices")


def run(kind, graphs="optimized"):
    done = subprocess.run([sys.executable, SCRIPT, kind, graphs], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def two_cpus(pytestconfig):
    return run("cpu", "optimized" if pytestconfig.getoption("--all") else "as traced")


def check(found, case):
    result, tolerance = found[case], TOLERANCES.get(case, 2e-5)
    assert result["steps"][0] == result["steps"][1] > 0
    assert result["history"].keys() == result["expected"].keys()
    for name, values in result["expected"].items():
        # Keras counts metrics in float32
        np.testing.assert_allclose(result["history"][name], values, rtol=max(tolerance, 1e-6), err_msg=name)
    np.testing.assert_allclose(*result["evaluate"], rtol=max(tolerance, 1e-6))
    # by ones, one of the two replicas gets no row
    np.testing.assert_allclose(*result["evaluate by ones"], rtol=max(tolerance, 1e-6))
    assert result["weights"] <= tolerance


@pytest.mark.parametrize("case", CASES)
def test_two_devices_train_as_one(two_cpus, case):
    check(two_cpus, case)


def test_predictions_are_those_of_one(two_cpus):
    np.testing.assert_allclose(*two_cpus["predict"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("case", SENTENCES)
def test_wrong_usage_is_one_sentence(two_cpus, case):
    assert two_cpus["refused"][case].startswith(SENTENCES[case])


def test_callbacks_are_heard(two_cpus):
    history = two_cpus["callbacks"]["history"]
    # patience 1 lowers the rate at the third epoch of the resumed run, patience 3 stops after its fourth
    assert len(history["first"]) == 1
    assert len(history["loss"]) == 4
    assert history["rate"][0] > history["rate"][-1]


@pytest.mark.skipif(len(tf.config.list_physical_devices("GPU")) < 2, reason="needs two GPUs")
@pytest.mark.parametrize("case", ["manual", "tape"])
def test_gpus_train_as_one(case):
    check(run("gpu"), case)


def test_one_process_is_its_own_chief():
    assert is_chief(tf.distribute.get_strategy())


def test_tensorboard_s_statistics_are_those_of_one_device(two_cpus):
    one, two = two_cpus["statistics"]
    assert len(one) >= 12
    # an update is a difference of float32 weights
    np.testing.assert_allclose(two, one, rtol=1e-3)
