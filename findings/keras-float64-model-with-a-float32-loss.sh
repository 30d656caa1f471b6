#!/usr/bin/env bash
# Keras 3.15.1: a model of float64 layers computes its loss, and with it its gradients, in float32.
#
# Losses, metrics and the learning rate take keras.config.floatx(), not the layers' dtype. dtype="float64" on every layer
# therefore gives gradients of float64 that are right to about eight digits. keras.config.set_floatx("float64") is needed, too.
# Seen, one step of SGD(0.1) on (w - 0.3)² from w = 1, whose exact step is 0.14:
#    step off by 3.0e-10 with float64 layers alone, by 0.0e+00 with floatx
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras


def error():
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", dtype="float64")
    model = keras.Sequential([keras.Input((1,), dtype="float64"), dense])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(np.ones((1, 1)), np.full((1, 1), 0.3))
    return abs(1 - float(dense.kernel.numpy()[0, 0]) - 0.14)


layers_alone = error()
keras.config.set_floatx("float64")
both = error()
print(f"step off by {layers_alone:.1e} with float64 layers alone, by {both:.1e} with floatx")
sys.exit(0 if layers_alone > 1e-10 and both < 1e-15 else 1)
PYTHON
