#!/usr/bin/env bash
# Keras 3.15.1: RMSprop's and Adagrad's epsilon is added under the square root: 1e-7 acts like 3e-4.
#
# The step is g / sqrt(v + epsilon), where the textbook and PyTorch have g / (sqrt(v) + epsilon). Gradients of 1e-5
# get a hundredth of the step of scaled-up ones, although the method is meant to be free of scale.
# Seen, the first step of RMSprop with learning rate 1:
#    gradient 1: 3.162, gradient 1e-5: 0.0316; epsilon outside the root would give 3.162 and 3.065
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras


def step(gradient):
    weight = keras.Variable(np.zeros(1, "float32"))
    optimizer = keras.optimizers.RMSprop(1.0)
    optimizer.build([weight])
    optimizer.apply([np.full(1, gradient, "float32")], [weight])
    return -float(weight.numpy()[0])


large, small = step(1.0), step(1e-5)
outside = [g / (np.sqrt(0.1 * g * g) + 1e-7) for g in (1.0, 1e-5)]
print(f"gradient 1: {large:.3f}, gradient 1e-5: {small:.4f}; ", end="")
print("epsilon outside the root would give {:.3f} and {:.3f}".format(*outside))
sys.exit(0 if abs(large - 3.1623) < 1e-3 and abs(small - 0.03162) < 1e-4 else 1)
PYTHON
