"""`tfbp agree --model`: exit status, files, what changed, and bad input in one sentence."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tfbp.commands.agree import main

QUICK = ["--dtype", "float32", "--mode", "eager"]


@pytest.fixture
def saved(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="only")], name="mine")
    model.compile("adam", "mse")
    model.save("model.keras")
    np.savez("data.npz", x=rng.normal(size=(5, 4)), y=rng.normal(size=(5, 3)))
    np.savez("other.npz", z=np.ones(3))
    Path("none.keras").write_text("no model")


def test_what_agrees_exits_0_and_writes_its_files_and_what_does_not_1(saved, capsys, monkeypatch):
    given = ["--model", "model.keras", "--data", "data.npz", *QUICK]
    assert main([*given, "--json", "a.json", "--html", "a.html"]) == 0
    assert "mine: agrees; 1 of 1 calls judged by the reference" in capsys.readouterr().out
    assert json.loads(Path("a.json").read_text())["lines"][0]["by"] == "reference"
    assert Path("a.html").read_text().startswith("<!doctype html>")
    call = keras.layers.Dense.call
    monkeypatch.setattr(keras.layers.Dense, "call", lambda self, x, training=None: call(self, 1.5 * x))
    assert main([*given, "--compare", "a.json"]) == 1
    assert "new: only y [layer; float32, eager]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "model.keras"], "--data: got none; accepted: an .npz file with x"),
        (["--model", "model.keras", "--data", "a.npz"], "--data: got 'a.npz' (FileNotFoundError); accepted: an .npz"),
        (["--model", "model.keras", "--data", "other.npz"], "--data: got 'other.npz' with ['z']; accepted: x"),
        (["--model", "model.h5", "--data", "data.npz"], "--model: got 'model.h5'; accepted: a .keras file."),
        (["--model", "none.keras", "--data", "data.npz"], "--model: got 'none.keras', "),
        (["--model", "model.keras", "--data", "data.npz", "--loss", "mean"], "--loss: got 'mean'; accepted:"),
        (["--model", "model.keras", "--data", "data.npz", "--case", "dense"], "--case: got 'dense' beside --model"),
        (["--model", "model.keras", "--data", "data.npz", "--compare", "b.json"], "--compare: got 'b.json'"),
        (["--data", "data.npz"], "--data: got 'data.npz' without --model; accepted: both."),
    ],
)
def test_bad_input_is_one_sentence_and_exits_2(saved, capsys, options, said):
    assert main([*options, *QUICK]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(said)
    assert printed.count("\n") == 1
