"""The command lines: exit codes, tables, one sentence for bad input and never a traceback."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_train_ends_in_a_table_and_leaves_curves(run, tmp_path):
    arguments = ["--dtype", "float64", "--epochs", 2, "--layers", "16", "--log-dir", tmp_path / "run"]
    status, out, _ = run("train.py", *arguments)
    assert status == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("ref", "man", "tape"))}
    assert set(rows) == {"reference", "manual", "tape"}
    assert rows["manual"][1:3] == rows["tape"][1:3] == rows["reference"][1:3]
    assert float(rows["manual"][5]) < 1e-11
    for writing in rows:
        for split in ("train", "validation"):
            assert list((tmp_path / "run" / writing / split).glob("events.*"))
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["finished"] is True
    assert described["results"]["tape"]["accuracy"] == pytest.approx(float(rows["tape"][2]), abs=1e-4)


def test_the_same_seed_gives_the_same_table(run, tmp_path):
    def table(name, seed):
        path = tmp_path / name
        _, out, _ = run("train.py", "--epochs", 1, "--gradients", "manual", "--seed", seed, "--log-dir", path)
        return next(line for line in out.splitlines() if line.startswith("manual ")).split()[:3]

    assert table("a", 1) == table("b", 1) != table("c", 2)


def test_a_loss_above_float32_s_range_ends_in_a_table(run, tmp_path):
    log_dir = tmp_path / "run"
    options = ["--learning-rate", "1e30", "--gradients", "reference", "--layers", "8", "--log-dir", log_dir]
    status, out, _ = run("train.py", *options, "--epochs", 2)
    assert status == 0
    assert "reference" in out
    events = EventAccumulator(str(log_dir / "reference" / "train"), size_guidance={"tensors": 0}).Reload()
    assert [point.step for point in events.Tensors("epoch_loss")] == [0, 1]
    assert metadata.SESSION_START_INFO_TAG in events.Tags()["tensors"]


def test_ctrl_c_is_one_line_and_status_130(tmp_path):
    command = [sys.executable, SCRIPTS / "train.py", "--gradients", "reference", "--epochs", "100000"]
    process = subprocess.Popen(
        [*command, "--log-dir", tmp_path / "run"],
        stderr=subprocess.PIPE,
        text=True,
        # tests that run in the background have inherited that it is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        # without a terminal, a line an epoch
        assert process.stderr.readline().startswith("reference: epoch 1, loss ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    last = err.splitlines()[-1]
    assert process.returncode == 130
    assert re.fullmatch(rf"stopped after epoch \d+ of reference; curves: {tmp_path / 'run'}", last)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        (
            "train.py",
            ["--dataset", "foo"],
            "--dataset: got 'foo'; accepted: digits, fashion_mnist, mnist, cifar10,",
        ),
        ("train.py", ["--gradients", "auto"], "--gradients: got 'auto'; accepted: manual, tape, reference."),
        ("train.py", ["--gradients", "tape,tape"], "--gradients: got 'tape,tape'; accepted: each name once."),
        ("train.py", ["--layers", "0"], "--layers: got 0; accepted: an integer of at least 1."),
        ("train.py", ["--layers", "8,x"], "--layers: got '8,x'; accepted: integers with commas, as in 64,32."),
        (
            "train.py",
            ["--layers", "99999999"],
            "--layers: got '99999999' (7,499,999,935 weights, 56 GiB in float64); acc",
        ),
        ("train.py", ["--gradients", ""], "--gradients: got ''; accepted: manual, tape, reference."),
        ("train.py", ["--optimizer", "SGD"], "--optimizer: got 'SGD' (did you mean 'sgd'?); accepted: sgd, momentum,"),
        (
            "train.py",
            ["--log-dir", "/proc/no/where"],
            "--log-dir: got '/proc/no/where' (No such file or directory); acc",
        ),
        (
            "train.py",
            ["--model", "cnm"],
            "--model: got 'cnm' (did you mean 'cnn'?); accepted: mlp, cnn, resnet, lstm, gpt, or a FILE",
        ),
        (
            "train.py",
            ["--model", "cnn", "--dataset", "xor"],
            "--model: got 'cnn' with the dataset 'xor'; accepted: with d",
        ),
        ("train.py", ["--model", "no.json"], "--model: got 'no.json' (No such file or directory); accepted: mlp, cnn,"),
        (
            "train.py",
            ["--model", "cnn", "--layers", "8"],
            "--layers: got '8' with the model 'cnn'; accepted: with mlp.",
        ),
        (
            "train.py",
            ["--model", "resnet", "--activation", "relu"],
            "--activation: got 'relu' with the model 'resnet'; ac",
        ),
        (
            "train.py",
            ["--model", "n.json", "--loss", "huber"],
            "--loss: got 'huber' with the model 'n.json'; accepted: n",
        ),
        ("train.py", ["--model", "cnn", "--loss", "l2"], "--loss: got 'l2'; accepted: half_squared_error"),
        (
            "train.py",
            ["--model", "n.json", "--dataset", "xor", "--picture"],
            "--picture: got it with the model 'n.json'; accepted: with mlp.",
        ),
        (
            "train.py",
            ["--model", "cnn", "--workers", "2"],
            "--model: got 'cnn' with workers; accepted: layers that neither draw nor renew weights in training (each",
        ),
        ("trials/fuzz_fit.py", ["--seed", "-1"], "--seed: got -1; accepted: an integer of at least 0."),
        ("trials/mutation.py", ["--every", "0"], "--every: got 0; accepted: an integer of at least 1."),
        (
            "trials/mutation.py",
            ["--only", "no-such"],
            "--only: got 'no-such', which no mutation's name contains;",
        ),
        ("trials/mutation_benchmark.py", ["--correct", "-1"], "--correct: got -1; accepted: an integer of at least 0."),
        (
            "trials/check_tensorflow.py",
            ["--only", "no-such"],
            "--only: got 'no-such', which no name contains;",
        ),
        ("trials/check_tensorflow.py", ["--mode", "lazy"], "--mode: got 'lazy'; accepted: eager, graph, xla."),
        ("benchmarks/benchmark.py", ["--contestants", ""], "--contestants: got ''; accepted: manual, tape, keras,"),
        ("benchmarks/benchmark_applications.py", ["--models", "VGG"], "--models: got 'VGG'; accepted: MobileNet, ResN"),
        (
            "benchmarks/benchmark_fit.py",
            ["--json", ""],
            "--json: got '' (No such file or directory); accepted: a",
        ),
        ("train.py", ["--activation", "rleu"], "--activation: got 'rleu' (did you mean 'relu'?); accepted: linear"),
        ("train.py", ["--loss", "l2"], "--loss: got 'l2'; accepted: half_squared_error"),
        ("train.py", ["--optimizer", "adan"], "--optimizer: got 'adan' (did you mean 'adam'?); accepted: sgd, mom"),
        ("train.py", ["--learning-rate", "0"], "--learning-rate: got 0.0; accepted: a finite number above 0."),
        ("train.py", ["--epochs", "0"], "--epochs: got 0; accepted: an integer of at least 1."),
        ("train.py", ["--batch-size", "0"], "--batch-size: got 0; accepted: an integer of at least 1."),
        ("train.py", ["--batch-size", "2000"], "--batch-size: got 2000; accepted: 1 to 1438, the training samples."),
        ("train.py", ["--statistics", "0"], "--statistics: got 0; accepted: an integer of at least 1."),
        ("train.py", ["--epochs", "few"], "--epochs: got 'few'; accepted: an integer."),
        ("train.py", ["--epoch-s", "3"], "--epoch-s: got an unknown option (did you mean --epochs?); accepted: --help"),
        ("train.py", ["--seed", "-1"], "--seed: got -1; accepted: an integer of at least 0."),
        ("train.py", ["--workers", "0"], "--workers: got 0; accepted: an integer of at least 1."),
        ("train.py", ["--workers", "33"], "--workers: got 33; accepted: at most 32, the batch size: a row for each."),
        (
            "train.py",
            ["--workers", "2", "--gradients", "reference"],
            "--gradients: got 'reference' with workers; acc",
        ),
        ("train.py", ["--start-within", "0"], "--start-within: got 0.0; accepted: a number of seconds above 0."),
        (
            "train.py",
            ["--dtype", "float8"],
            "--dtype: got 'float8' (did you mean 'float64'?); accepted: float32,",
        ),
        ("train.py", ["--log-dir", __file__], f"--log-dir: got {__file__!r}, which is a file; accepted: a new or"),
        ("check.py", ["--device", "tpu"], "--device: got 'tpu'"),
        ("check.py", ["--dtype", "int8"], "--dtype: got 'int8'"),
        ("check.py", ["--mode", "lazy"], "--mode: got 'lazy'; accepted: eager, graph, xla."),
        ("check.py", ["--processes", "0"], "--processes: got 0; accepted: an integer of at least 1."),
        ("check.py", ["--case", "no-such"], "--case: got 'no-such', which no name contains; accepted: part"),
        (
            "check.py",
            ["--case", "dense", "--mode", "eager", "--dtype", "float64", "--json", "/no/where"],
            "--json: got",
        ),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_status_2(run, script, arguments, sentence):
    status, _, err = run(script, *arguments)
    assert status == 2
    assert err.startswith(sentence)
    assert len(err.strip().splitlines()) == 1


def test_check_writes_every_number(run, tmp_path):
    arguments = ["--case", "dense", "--mode", "eager", "--dtype", "float64,float16", "--json", tmp_path / "all.json"]
    status, out, _ = run("check.py", *arguments)
    assert status == 0
    assert "Compared: 102 tensors in 2 cells, and 8 beside them." in out
    assert "wrong" not in out.split("Compared")[1]
    comparisons = json.loads((tmp_path / "all.json").read_text())["comparisons"]
    of_layers = [each["tensor"] for each in comparisons if each["pair"] == "layers-reference"]
    assert of_layers == [f"layer 0 Dense {name}" for name in ("y", "dx", "dkernel", "dbias")] * 2
    assert len(comparisons) == 102 + len(of_layers)
    assert all(0 <= each["error_over_tolerance"] <= 1 for each in comparisons)


def test_check_in_two_processes_finds_what_one_finds(run, tmp_path):
    found = []
    for processes in ("1", "2"):
        path = tmp_path / f"{processes}.json"
        arguments = ["--case", "dense", "--mode", "eager", "--dtype", "float64,float32,float16", "--json", path]
        assert run("check.py", *arguments, "--processes", processes)[0] == 0
        found.append(json.loads(path.read_text()))
    assert len(found[0]["comparisons"]) > 100
    assert found[0] == found[1]


def test_check_exits_1_and_names_the_first_wrong_tensor(run, monkeypatch):
    from tfbp import layers, manual  # noqa: F401  the layers take the right one before it is replaced

    right = manual.dense.dense_backward
    monkeypatch.setattr(manual.dense, "dense_backward", lambda *a, **k: (-1 * right(*a, **k)[0], *right(*a, **k)[1:]))
    status, out, _ = run("check.py", "--case", "dense", "--mode", "eager", "--dtype", "float64")
    assert status == 1
    assert "local: layer 0 dx of manual: the sign is flipped" in out.replace("\n", " ")


def test_check_names_a_wrong_layer(run, monkeypatch):
    from tfbp.layers import hand_written

    right = hand_written.dense_backward
    monkeypatch.setattr(hand_written, "dense_backward", lambda *a, **k: (-1 * right(*a, **k)[0], *right(*a, **k)[1:]))
    status, out, _ = run("check.py", "--case", "dense", "--mode", "eager", "--dtype", "float64")
    assert status == 1
    assert "layers: layer 0 Dense dx of layers: the sign is flipped" in out.replace("\n", " ")


def test_check_s_words_are_the_matrix_s():
    from tfbp.agreement import matrix, problems
    from tfbp.commands import agree as check

    assert tuple(problems.DTYPES) == check.DTYPES
    assert tuple(matrix.MODES) == check.MODES


def test_seed_network_prints_the_published_numbers_and_names_the_bug(run):
    status, out, _ = run("seed_network.py")
    assert status == 0
    for number in ("0.01810390383656677", "0.01652628079547517", "0.0165653823267704"):
        assert number in out
    assert "First wrong tensor: layer 0 dz" in out
