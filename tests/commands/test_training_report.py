"""The first and last lines of `train`: what is trained, how long the reference takes, and a command that exists."""

import argparse
import shutil
import sys

import pytest

from tfbp import Dense, Network, datasets
from tfbp.commands import train_writings
from tfbp.commands.training_report import tensorboard_command


@pytest.mark.parametrize(
    ("make", "on_path", "log_dir", "command"),
    [
        (True, False, "logs/digits-1", "make tensorboard"),
        (True, True, "elsewhere/run", "tensorboard --logdir elsewhere/run"),
        (False, True, "logs/digits-1", "tensorboard --logdir logs/digits-1"),
        (False, False, "logs/digits-1", f"{sys.executable} -m tensorboard.main --logdir logs/digits-1"),
    ],
    ids=["make", "make-elsewhere", "path", "neither"],
)
def test_the_last_line_is_a_command_that_exists(monkeypatch, make, on_path, log_dir, command):
    monkeypatch.delenv("MAKELEVEL", raising=False)
    if make:
        monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if on_path else None)
    assert tensorboard_command(log_dir) == command


def test_the_first_line_says_what_is_trained():
    options = {"dataset": "digits", "model": "mlp", "epochs": 2, "batch_size": 32, "optimizer": "adam"}
    arguments = argparse.Namespace(**options, dtype="float64")
    network = Network(64, [Dense(3), Dense(10)], "sparse_categorical_crossentropy")
    line = train_writings._first_line(arguments, ["reference", "tape"], network, datasets.load("digits"))
    assert line == (
        "Training a network of 235 weights on digits, 1,438 training and 359 validation samples: 2 epochs in batches "
        "of 32, adam, float64; by reference, then tape."
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.001, ""),
        (0.01, "in NumPy: about 45 seconds. --gradients manual,tape leaves it out."),
        (1.0, "in NumPy: about 75 minutes. "),
    ],
    ids=["short", "seconds", "minutes"],
)
def test_a_long_wait_for_the_reference_is_announced(seconds, said):
    line = train_writings._wait_for_reference(seconds, steps=4500)
    assert said in line
    assert bool(said) == bool(line)
