#!/usr/bin/env bash
# Keras 3.15.1: load_weights pairs layers of one class by their order, whatever their names are.
#
# In a .weights.h5 file the layers are called dense, dense_1, …, by class. A model whose layers `a` and `b` come in the
# other order loads a's weights into b and b's into a, without a word where the shapes are equal.
# Seen, saved with a of ones and b of zeros, loaded into a model with b before a:
#    a holds 0.0, b holds 1.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import os
import sys
import tempfile

import keras


def model(*names):
    layers = [keras.layers.Dense(3, kernel_initializer="ones" if name == "a" else "zeros", name=name) for name in names]
    return keras.Sequential([keras.Input((3,)), *layers])


file = os.path.join(tempfile.mkdtemp(), "x.weights.h5")
model("a", "b").save_weights(file)
other = model("b", "a")
other.load_weights(file)
a, b = (float(other.get_layer(name).kernel.numpy()[0, 0]) for name in "ab")
print(f"a holds {a}, b holds {b}")
sys.exit(0 if (a, b) == (0.0, 1.0) else 1)
PYTHON
