#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: Dense(8, activation="glu") declares 8 outputs and returns 4.
#
# glu is one of keras.activations. It halves the last axis. Dense.compute_output_shape ignores the activation, so
# model.output_shape is (None, 8) and predict returns (3, 4). A Dense layer after it gets a kernel of 8 rows, and the first call of
# the model raises. keras.layers.Activation("glu") declares its input's shape in the same way. Right: (None, 4), as keras.ops.glu
# declares.
# Seen:
#    declared (None, 8), returned (3, 4); with another Dense: the model is built, its call raises
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

x = np.ones((3, 6), "float32")
model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "glu")])
declared, returned = model.output_shape, model.predict(x, verbose=0).shape
deeper = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "glu"), keras.layers.Dense(1)])
try:
    deeper(x)
    raises = False
except Exception:
    raises = True
print(f"declared {declared}, returned {returned}; with another Dense: the model is built, its call", end=" ")
print("raises" if raises else "works")
sys.exit(0 if (declared, returned, raises) == ((None, 8), (3, 4), True) else 1)
PYTHON
