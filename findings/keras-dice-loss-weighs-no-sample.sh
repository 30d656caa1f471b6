#!/usr/bin/env bash
# Keras 3.15.1: keras.losses.Dice with sample_weight scales the loss and weighs no sample: [1, 0] and [0, 1] give the same.
#
# Dice and Tversky return one number for the whole batch (axis=None), which the weights then multiply and average. A sample of
# weight 0, such as padding, counts as much as any other. With axis=(1,) there is a number a sample, and weights count.
# Seen, weights [1, 0] and [0, 1]:
#    Dice: 0.1301 and 0.1301; with axis=(1,): 0.0526 and 0.2143
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras

labels, predictions = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.array([[0.9, 0.1, 0.8], [0.5, 0.5, 0.5]])
weights = np.array([[1.0, 0.0], [0.0, 1.0]])
whole = [float(keras.losses.Dice()(labels, predictions, w)) for w in weights]
each = [float(keras.losses.Dice(axis=(1,))(labels, predictions, w)) for w in weights]
print("Dice: {:.4f} and {:.4f}; with axis=(1,): {:.4f} and {:.4f}".format(*whole, *each))
sys.exit(0 if whole[0] == whole[1] and abs(each[0] - each[1]) > 0.05 else 1)
PYTHON
