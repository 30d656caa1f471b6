"""scripts/benchmarks/benchmark_short.py: a fit is timed from its call to its end, and shares are of medians."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def scripts_are_found(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)


def test_models_one_after_the_other_take_seconds_and_memory():
    from benchmarks.short_fit import measure

    found = measure("wide-and-deep", "tfbp.fit", 1, 40, 2)
    assert min(found["wall"], found["processor"]) > 0
    assert found["MiB"] > 100
    assert found["jit_compile"] is False


def test_shares_are_of_medians():
    from benchmarks.benchmark_short import shares

    runs = {"tfbp.fit": [{"wall": each} for each in (1, 2, 9)], "Keras": [{"wall": each} for each in (4, 9, 1)]}
    assert shares({"gan": {"5": runs}}, "wall") == {"gan": {"5": 0.5}}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--models", "resnet"), "--models: got 'resnet'; accepted: tabular, wide-and-deep"),
        (("--epochs", "1,x"), "--epochs: got 'x'; accepted: integers of at least 1, separated by commas."),
        (("--ways", "PyTorch"), "--ways: got 'PyTorch'; accepted: tfbp.fit; Keras; Keras, XLA."),
        (("--rows", "0"), "--rows: got 0; accepted: an integer of at least 1."),
    ],
)
def test_bad_input_is_one_sentence(run, arguments, sentence):
    status, _, told = run("benchmarks/benchmark_short.py", *arguments)
    assert status == 2
    assert told.strip().startswith(sentence)
    assert len(told.strip().splitlines()) == 1
