"""scripts/benchmarks/benchmark_private.py: a contestant that is wrong is not timed; shares are of plain training."""

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def scripts_are_found(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)


# contestants of a few lines: one takes twice the other's time, one says that it is wrong
TIMED = "import sys; print('{}', flush=True)\nfor _ in sys.stdin: print(%s, flush=True)\nprint(12.5)"
WRONG = """import sys; print('{"wrong": "the clipped sum is wrong"}', flush=True); sys.stdin.readline()"""


def test_who_is_wrong_is_not_timed_and_shares_are_of_plain_training(capsys):
    from benchmarks.benchmark_private import STEPS, raced, show

    codes = {"plain": TIMED % 0.4, "private": TIMED % 0.8, "opacus-ghost": WRONG, "opacus-hooks": "pass"}
    found = raced("mlp", {kind: [sys.executable, "-c", code] for kind, code in codes.items()}, 2)
    assert found["plain"] == {"ms": 400 / STEPS, "least": 400 / STEPS, "most": 400 / STEPS, "mb": 12.5}
    assert found["opacus-hooks"] == {"wrong": "it ended"}
    show("mlp", found)
    said = {line.split()[1]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert said["private"][2:5] == ["20.00", "2.00", "1.3"]
    assert " ".join(said["opacus-ghost"][2:]) == "is not timed: the clipped sum is wrong"


def test_a_private_step_is_held_against_one_tape_an_example(monkeypatch):
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    from benchmarks import benchmark_private
    from tfbp.privacy import clipping

    monkeypatch.setattr(benchmark_private, "STEPS", 1)
    assert benchmark_private.wrong_by("embedding") < 1e-5
    right = clipping.factors_of
    monkeypatch.setattr(clipping, "factors_of", lambda *given: (1.01 * right(*given)[0], right(*given)[1]))
    assert benchmark_private.wrong_by("embedding") > 5e-3


def test_bad_input_is_one_sentence(run):
    status, _, told = run("benchmarks/benchmark_private.py", "--models", "resnet")
    assert status == 2
    assert told.strip() == "--models: got 'resnet'; accepted: mlp, cnn, lstm, encoder, embedding-adam, embedding."
