"""Keras's own tests of these layers, from the installed Keras, pass with tfbp's layers in their place."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "trials" / "keras_conformance.py"


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("only", "part", "count"),
    [("rms_normalization_test", "normalization.rms_normalization_test: 4", 4), ("", "core.dense_test: 72", 537)],
    ids=["RMSNormalization", "all"],
)
def test_no_test_of_keras_s_fails_that_passes_with_its_own_layers(only, part, count):
    command = [sys.executable, SCRIPT, f"--only={only}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"layers.{part} passed\n" in done.stdout
    assert f"{count} tests; 0 fail that pass with Keras's own." in done.stdout
