"""The benchmark: a contestant that computes something else is thrown out, and every one that ran is in the table."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / "benchmarks" / "benchmark.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.rare("it times programs in processes of their own")
def test_the_contestants_of_the_lock_run_and_are_reported(tmp_path):
    names = ["manual", "tape", "keras", "numpy", "limit"]
    chosen = ["--sizes", "2-2-2-b4", "--contestants", ",".join(names), "--rounds", 2, "--seconds", 0.001]
    done = run(*chosen, "--json", tmp_path / "all.json")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "all.json").read_text())["results"]
    assert {result["contestant"] for result in results} == set(names)
    for result in results:
        assert len(result["microseconds"]) == 2
        assert 0 < result["min"] <= result["median"]
        assert not result["error"]
    for label in ("tfbp.Model, manual", "tfbp.Model, tape", "Keras fit", "NumPy by hand", "limit: matrix products"):
        assert label in done.stdout


def test_a_wrong_gradient_is_thrown_out(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks.contestants import numpy_by_hand
    from benchmarks.gate import Gate
    from benchmarks.problem import SIZES, Task

    problem = Task.make(SIZES["2-2-2-b4"])
    gate = Gate(problem)

    def complaint(contestant):
        losses = contestant.follow(gate.steps)
        again = type(contestant)(problem)
        again.__dict__.update(rate=contestant.rate)
        again.train(1, shuffle=False)
        return gate.complaint(losses, again.weights())

    sound = numpy_by_hand.NumpyByHand(problem)
    assert complaint(sound) == ""
    wrong = numpy_by_hand.NumpyByHand(problem)
    wrong.rate = np.float32(1.05) * wrong.rate
    assert "the reference's is" in complaint(wrong)
    assert "its loss at step 0 is nan" in gate.complaint([float("nan")] * gate.steps, sound.weights())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "tpu"], "--device: got 'tpu' (did you mean 'gpu'?); accepted: cpu, gpu."),
        (
            ["--what", "speed"],
            "--what: got 'speed'; accepted: training, growth, gradients, callbacks, layers, images, attention, "
            "recurrence.",
        ),
        (["--sizes", "1-1"], "--sizes: got '1-1'"),
        (["--contestants", "kerras"], "--contestants: got 'kerras' (did you mean 'keras'?)"),
        (["--layers", "Dense"], "--layers: got 'Dense'; accepted: with --what layers."),
        (["--what", "layers", "--layers", "Densee"], "--layers: got 'Densee' (did you mean 'Dense'?)"),
        (["--what", "layers", "--chart", "x.svg"], "--chart: got 'x.svg'; accepted: none with --what layers."),
        (["--rounds", "0"], "--rounds: got 0; accepted: an integer of at least 1."),
        (["--seconds", "nan"], "--seconds: got nan; accepted: a finite number above 0."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_status_2(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_layer_that_is_timed_is_one_of_both(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks.layers import INPUTS, LAYERS, ROOMS

    for name, layers in LAYERS.items():
        shapes = [keras.Sequential([keras.Input((INPUTS,)), *layers(room)]).output_shape for room in ROOMS.values()]
        assert shapes == [(None, 10)] * 2, name


def test_a_gpu_that_is_not_there_is_one_sentence():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    done = run("--device", "gpu")
    assert done.returncode == 2
    assert done.stderr == "--device: got 'gpu', which TensorFlow does not find here; accepted: cpu.\n"


def test_a_contestant_that_trains_elsewhere_is_an_error(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import worker
    from benchmarks.contestants import Unavailable, numpy_by_hand, tfbp_model
    from benchmarks.problem import SIZES, Task

    problem = Task.make(SIZES["2-2-2-b4"])
    problem.device = "gpu"
    with pytest.raises(Unavailable, match="it runs on a CPU alone"):
        worker.start(numpy_by_hand.NumpyByHand, {}, problem, {})
    monkeypatch.setattr(tfbp_model.TfbpModel, "train", lambda self, epochs, shuffle: None)
    with pytest.raises(RuntimeError, match="it trains on 'cpu', not on 'gpu'"):
        worker.start(tfbp_model.TfbpModel, {"gradients": "manual"}, problem, {})


def test_a_result_elsewhere_ends_a_benchmark_of_pairs(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import gradients, placed

    assert placed.check("manual", [tf.ones([2])], "cpu") is None
    with placed.alone_on("cpu"):
        assert not tf.config.get_soft_device_placement()
    monkeypatch.setattr(placed, "is_on", lambda tensor, device: False)
    with pytest.raises(placed.Misplaced, match="manual: on CPU:0, not on 'cpu'"):
        gradients.compare([4, 3, 2], False, 1, 1e-6)


def test_a_benchmark_of_pairs_runs_the_module_of_its_name(monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPTS)
    from importlib import import_module

    from benchmarks import benchmark

    for what in benchmark.PAIRS:
        calls = []
        monkeypatch.setattr(
            import_module(f"benchmarks.{what}"), "run", lambda *given, to=calls: to.append(given) or ("", [])
        )
        monkeypatch.setattr(sys, "argv", ["benchmark.py", "--what", what, "--rounds", "3", "--seconds", "0.5"])
        assert benchmark.main() == 0
        assert calls == [(3, 0.5, "cpu")]
        assert "3 interleaved pairs" in capsys.readouterr().out


def test_images_races_all_from_the_same_weights_and_draws_them(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import charts, images

    # two points a panel, of one network: small, and without the ways that XLA takes seconds to compile
    monkeypatch.setattr(images, "KERAS_WAYS", {"by default": {}, "an epoch a call": {"steps_per_execution": 2}})
    monkeypatch.setattr(images, "STEPS", 2)
    small = images.ImagePoint(side=10, filters=2)
    monkeypatch.setattr(images, "AXES", {"filters": [(2, small), (3, small)], "side": [(10, small), (11, small)]})
    table, results = images.run(2, 1e-3)
    assert table.row_count == len(results) == 4
    assert [result["axis"] for result in results] == ["filters", "filters", "side", "side"]
    for result in results:
        assert {name: len(times) for name, times in result["microseconds"].items()} == dict.fromkeys(
            ("manual", "tape", "keras"), 2
        )
        assert min(min(times) for times in result["microseconds"].values()) > 0
        assert result["keras's way"] in images.KERAS_WAYS
        assert result["tape / manual"] == images.ratio(result["microseconds"], "tape")
    charts.draw_images(str(tmp_path / "images.svg"), results, "a machine")
    assert "</svg>" in (tmp_path / "images.svg").read_text()


def test_images_of_other_weights_are_not_timed(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import images

    ours, ways = images.contestants(images.ImagePoint(side=10, filters=2))
    images.check_alike({**ours, **ways})
    ways["XLA"].set_weights([w + 1e-3 for w in ways["XLA"].get_weights()])
    with pytest.raises(AssertionError, match="XLA"):
        images.check_alike({**ours, **ways})


def assert_what_is_wrong_is_not_timed(monkeypatch, race):
    right = race.contestant

    def wrong(name, *given):
        call = right(name, *given)
        return (lambda: [1.01 * each for each in call()]) if name == "tfbp" else call

    monkeypatch.setattr(race, "contestant", wrong)
    with pytest.raises(AssertionError, match="tfbp"):
        race.run(2, 1e-3)


def test_attention_is_raced_from_the_same_weights_and_what_is_wrong_is_not_timed(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import attention

    monkeypatch.setattr(attention, "STEPS", (8,))
    monkeypatch.setattr(attention, "MODES", {"tf.function": False})
    monkeypatch.setattr(attention, "megabytes", lambda *given: 1.0)
    table, results = attention.run(2, 1e-3)
    assert table.row_count == 1
    assert {len(times) for times in results[0]["milliseconds"].values()} == {2}
    assert_what_is_wrong_is_not_timed(monkeypatch, attention)


def test_recurrence_is_raced_from_the_same_weights_and_what_is_wrong_is_not_timed(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import recurrence

    monkeypatch.setattr(recurrence, "POINTS", (recurrence.RecurrencePoint(3, 4, 2, 5),))
    monkeypatch.setattr(recurrence, "MODES", {"tf.function": False})
    table, results = recurrence.run(2, 1e-3)
    assert table.row_count == 2
    assert {len(times) for result in results for times in result["milliseconds"].values()} == {2}
    assert_what_is_wrong_is_not_timed(monkeypatch, recurrence)


def test_charts_of_sequences_have_a_line_for_each_contestant_and_mode(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks import charts, recurrence

    times = {"tfbp": [1.0], "keras": [2.0], "torch": [3.0]}
    rows = [
        {"layer": kind, **vars(point), "mode": mode, "milliseconds": times, "megabytes": {"tfbp": 1.0, "keras": 2.0}}
        for kind in recurrence.LAYERS
        for point in recurrence.POINTS
        for mode in recurrence.MODES
    ]
    for draw in (charts.draw_recurrence, charts.draw_attention):
        draw(str(tmp_path / "chart.svg"), rows, "a machine")
        drawn = (tmp_path / "chart.svg").read_text()
        for label in ("tfbp.layers, tf.function", "tfbp.layers, XLA", "keras.layers, XLA", "PyTorch", "a machine"):
            assert label in drawn or f"<!-- {label} -->" in drawn, label
