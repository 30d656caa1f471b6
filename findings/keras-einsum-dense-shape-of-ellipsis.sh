#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: EinsumDense("...x,xy->...y") has a symbolic shape with the axes of "..." in reverse.
#
# Of inputs of shape (2, 3, 4) the layer makes (2, 3, 5). Its KerasTensor says (3, 2, 5), because each axis of "..." is inserted
# in front of the one before it. A layer behind it is then built for the wrong sizes: another EinsumDense has a kernel that
# does not fit, and the model raises when it is called. Right: the shape that the outputs have.
# Seen:
#    symbolic shape: (None, 3, 2, 5); shape of the outputs: (7, 2, 3, 5)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

inputs = keras.Input((2, 3, 4))
outputs = keras.layers.EinsumDense("...x,xy->...y", 5)(inputs)
made = keras.Model(inputs, outputs)(np.zeros((7, 2, 3, 4), "float32"))
print(f"symbolic shape: {outputs.shape}; shape of the outputs: {tuple(made.shape)}")
sys.exit(0 if tuple(outputs.shape[1:]) != tuple(made.shape[1:]) else 1)
PYTHON
