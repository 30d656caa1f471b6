"""`tfbp audit`: the exit status, what it prints, and bad input in one sentence."""

import json
import sys

import pytest

from tfbp.commands.audit import main

MINE = """
import keras
import numpy as np

def made():
    layers = [keras.Input((4,)), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, np.zeros((40, 4), "float32"), np.arange(40) % 3
"""
QUICK = ["--model", "mine_audited:made", "--noise-multiplier", "1", "--delta", "1e-3", "--batch-size", "10"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    (tmp_path / "mine_audited.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_audited", raising=False)


def test_what_is_not_contradicted_exits_0(mine, capsys):
    assert main([*QUICK, "--epochs", "1", "--canaries", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["guesses"] == 10
    assert 0 <= found["right"] <= 10
    assert 0 <= found["lower_bound"] < found["epsilon"]
    assert (found["confidence"], found["delta"]) == (0.95, 1e-3)


def test_a_claim_that_is_too_small_exits_1(mine, capsys, monkeypatch):
    from tfbp.privacy import audit

    # as if every guess were right
    monkeypatch.setattr(audit, "lower_bound", lambda canaries, guesses, right, delta, confidence: 50.0)
    assert main([*QUICK, "--epochs", "1", "--canaries", "20"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("ε ≤ ")
    assert said[1].startswith("ε ≥ 50, by the audit with a confidence of 0.95: ")
    assert said[2] == "WRONG: the bound contradicts the account"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "not_there:made"], "model: got 'not_there:made'"),
        (["--model", "math:sin"], "model: got 'math:sin' (TypeError: math.sin() takes exactly one argument (0 given))"),
        (["--model", "os:getcwd"], "model: got 'os:getcwd' (ValueError: too many values to unpack"),
        ([*QUICK, "--epochs", "0"], "--epochs: got 0; accepted: an integer of at least 1."),
        ([*QUICK, "--confidence", "2"], "--confidence: got 2.0; accepted: a number between 0 and 1."),
        (["--epsilon", "1", "--noise-multiplier", "1"], "epsilon: got 1.0 and noise_multiplier=1.0"),
        (["--delta", "2"], "delta: got 2.0"),
        ([*QUICK, "--canaries", "2"], "canaries: got 2"),
    ],
)
def test_bad_input_is_one_sentence(mine, capsys, options, said):
    assert main(options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
