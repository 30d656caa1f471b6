"""A run on another device than `--device` is a verdict, and never silent."""

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tfbp.agreement import programs, third_opinion
from tfbp.agreement.cases import shape_cases
from tfbp.agreement.matrix import run_cell
from tfbp.agreement.suites.layers import layer_cases, run_layers
from tfbp.commands import agree
from tfbp.errors import InputError
from tfbp.judging.failures import attempt
from tfbp.judging.placement import array_from, check_device, is_on, strictly, strictly_on
from tfbp.rehearsal import operations as kernels

PLANTED = Path(__file__).parent / "on_two_devices.py"
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def planted():
    """What is said of each device and mode, from one process: TensorFlow takes seconds to start."""
    done = subprocess.run([sys.executable, PLANTED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_result_on_another_device_is_a_verdict_that_names_device_and_tensor(planted):
    said = planted["/CPU:1 eager"]
    (network,), (layers,) = said["network"], said["layers"]
    elsewhere = "it is on CPU:1, not on CPU:0."
    assert network == f"First wrong: dense-B33-I64-O10-float32-eager-cpu, local: layer 0 dkernel of manual: {elsewhere}"
    assert layers.endswith(f"layers: layer 0 Dense dkernel of layers: {elsewhere}")


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_an_operation_that_cannot_run_there_is_a_verdict_that_names_it(mode, planted):
    """With soft placement it would run on CPU:0 and say nothing."""
    said = planted[f"/CPU:7 {mode}"]
    for lines in (said["network"], said["layers"]):
        assert lines[0].startswith("First wrong: dense-B33-I64-O10-float32-")
        assert "Softplus" in lines[0].split(", raised at")[0]
    assert said["restored"]


def test_on_the_device_asked_for_nothing_is_said(planted):
    assert planted["/CPU:0 graph"] == {"network": [], "layers": [], "restored": True}


def test_the_matrix_runs_strictly_and_puts_the_setting_back():
    assert tf.config.get_soft_device_placement()
    with programs.on(programs.Cell(None, "float32", "eager")):
        assert not tf.config.get_soft_device_placement()
    assert tf.config.get_soft_device_placement()
    assert "[Op:Softplus]" in attempt(_misplaced).sentence
    assert tf.config.get_soft_device_placement()


def _misplaced():
    x = tf.ones([2])
    with strictly(), tf.device("/CPU:9"):
        return tf.nn.softplus(x)


def test_a_tensor_tells_its_device_and_what_is_no_tensor_is_left_alone():
    with strictly_on("cpu"):
        value = tf.ones([2])
    assert is_on(value, "cpu")
    assert array_from(value, "cpu").tolist() == [1, 1]
    assert array_from(value, "gpu").sentence == "it is on CPU:0, not on GPU:0"
    assert array_from(None, "gpu") is None


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.sampled(3)
def test_a_gpu_has_a_kernel_for_all_that_the_harness_runs_strictly(monkeypatch, dtype):
    """What it makes layers and arguments of included, which is no part of the programs that are rehearsed."""
    ran = set()

    @contextmanager
    def noting(device):
        with strictly_on(device), kernels.run_eagerly() as operations:
            yield
        ran.update(operations)

    monkeypatch.setattr(programs, "strictly_on", noting)
    run_layers(layer_cases()[::8], dtype, "eager")
    run_cell(programs.Cell(next(shape_cases()), dtype, "eager"))
    with noting("cpu"):
        assert all(opinion.comparison.agrees for op in third_opinion.ops() for opinion in third_opinion.opinions(op))
    assert len(ran) > 50
    assert kernels.without_kernel(ran, "GPU") == []
    # and one that has none is seen
    with noting("cpu"):
        tf.raw_ops.Softplus(features=tf.ones([2], tf.bfloat16))
    assert [str(operation) for operation in kernels.without_kernel(ran, "GPU")] == ["Softplus (T bfloat16)"]


def test_a_missing_device_is_an_error():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match="device: got 'gpu', which TensorFlow does not find here; accepted: cpu"):
        check_device("gpu")


def test_an_unknown_device_is_an_error():
    with pytest.raises(InputError, match=r"device: got 'gpu0' \(did you mean 'gpu'\?\); accepted: cpu, gpu\."):
        check_device("gpu0")


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("tpu", "--device: got 'tpu' (did you mean 'gpu'?); accepted: cpu, gpu."),
        ("gpu", "--device: got 'gpu', which TensorFlow does not find here; accepted: cpu."),
    ],
)
def test_pytest_and_check_say_so_in_one_sentence(device, sentence, pytestconfig, capsys):
    if device == "gpu" and tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    assert agree.main(["--device", device]) == 2
    assert capsys.readouterr().err == f"{sentence}\n"
    # what conftest.py does with the option, before a test is collected
    configure = pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py")).pytest_configure
    with pytest.raises(pytest.exit.Exception, match=re.escape(sentence)) as caught:
        configure(SimpleNamespace(getoption=lambda name: device, addinivalue_line=lambda *given: None))
    assert caught.value.returncode == 2
