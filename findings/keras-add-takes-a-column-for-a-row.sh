#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: keras.ops.add(x, column) adds the column as a row where it is as long as the rows of x.
#
# ops.add takes a second tensor with one axis of more than 1 for a bias, squeezes it and calls tf.nn.bias_add: y[b] is added to
# x[:, b], not to x[b]. So Add and x + y are wrong for a batch of n rows of n numbers beside one number a row, and for one
# sequence of T steps of T channels beside one number a step. With the two tensors in the other order they are right.
# Seen:
#    rows: x + y off by 3.0, y + x by 0.0; steps: layers.Add off by 3.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

x, column = np.zeros((4, 4), "float32"), np.arange(4, dtype="float32")[:, None]
errors = [
    float(np.abs(np.asarray(keras.ops.add(*pair)) - (x + column)).max()) for pair in ((x, column), (column, x))
]
steps = np.asarray(keras.layers.Add()([x[None], column[None]])) - (x + column)[None]
print("rows: x + y off by {:.1f}, y + x by {:.1f}; steps: layers.Add off by {:.1f}".format(*errors, np.abs(steps).max()))
sys.exit(0 if errors[0] > 1 and errors[1] == 0 and np.abs(steps).max() > 1 else 1)
PYTHON
