"""Keras's own tests of these layers, from the installed Keras, pass with tfbp's layers in their place."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "keras_conformance.py"


def test_no_test_of_keras_s_fails_that_passes_with_its_own_layers():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "layers.core.dense_test: 72 passed\n" in done.stdout
    assert "445 tests; 0 fail that pass with Keras's own." in done.stdout
