#!/usr/bin/env bash
# Keras 3.15.1: Adam(weight_decay=w) is AdamW(weight_decay=w) to the bit, and SGD's weight decay does not pass its momentum.
#
# Every optimizer multiplies the weights by 1 - rate · w before its update. In PyTorch weight_decay of Adam and SGD is added to the
# gradient, as an L2 penalty; a recipe from there trains otherwise here, with the same names and numbers.
# Seen, weights of 1, gradients of 0, rate 0.1, decay 0.5, three steps:
#    Adam 0.857375, AdamW 0.857375, SGD with momentum 0.857375; by a penalty Adam 0.701590
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras


def trained(optimizer, penalty=0.0):
    weight = keras.Variable(np.ones(1, "float32"))
    optimizer.build([weight])
    for _ in range(3):
        optimizer.apply([penalty * weight.numpy()], [weight])
    return round(float(weight.numpy()[0]), 6)


optimizers = keras.optimizers
found = [
    trained(optimizers.Adam(0.1, weight_decay=0.5)),
    trained(optimizers.AdamW(0.1, weight_decay=0.5)),
    trained(optimizers.SGD(0.1, momentum=0.9, weight_decay=0.5)),
    trained(optimizers.Adam(0.1), penalty=0.5),
]
print("Adam {:.6f}, AdamW {:.6f}, SGD with momentum {:.6f}; by a penalty Adam {:.6f}".format(*found))
sys.exit(0 if found[:3] == [0.857375] * 3 and abs(found[3] - 0.7) < 0.01 else 1)
PYTHON
