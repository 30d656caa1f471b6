#!/usr/bin/env bash
# Keras 3.15.1: SGD with momentum goes on moving weights after the learning rate was set to 0.
#
# The velocity holds learning rate times gradient, as of the step at which it was added. A callback that lowers the rate, or
# sets it to 0 to hold the weights still, acts on new gradients alone. PyTorch's SGD multiplies the velocity by the rate of now.
# Seen, one step with rate 1 and gradient 1, then three with rate 0, momentum 0.9:
#    weight -1.000, -1.900, -2.710, -3.439
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras

weight = keras.Variable(np.zeros(1, "float32"))
optimizer = keras.optimizers.SGD(1.0, momentum=0.9)
optimizer.build([weight])
found = []
for rate in (1.0, 0.0, 0.0, 0.0):
    optimizer.learning_rate = rate
    optimizer.apply([np.ones(1, "float32")], [weight])
    found.append(round(float(weight.numpy()[0]), 3))
print("weight " + ", ".join(f"{value:.3f}" for value in found))
sys.exit(0 if found == [-1.0, -1.9, -2.71, -3.439] else 1)
PYTHON
