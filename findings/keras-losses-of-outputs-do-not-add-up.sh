#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: with two outputs, the logs' loss is not the sum of a_loss and b_loss.
#
# fit and evaluate count each batch's loss with its number of rows, and an output's own loss with the batch's static size, which is
# None in a graph where the last batch is shorter: a mean over batches. run_eagerly=True counts it by rows. Five rows, batches of
# 4, errors of 1, 1, 1, 1 and 9. Right: a_loss 2.6 in both, as the metric a_mse beside it.
# Seen:
#    in a graph: loss 5.2, a_loss 5.0, b_loss 5.0, a_mse 2.6; eagerly: loss 5.2, a_loss 2.6, b_loss 2.6, a_mse 2.6
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

x, y = np.array([[1.0], [1.0], [1.0], [1.0], [3.0]], "float32"), np.zeros((5, 1), "float32")
inputs = keras.Input((1,))
outputs = [keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name=name)(inputs) for name in "ab"]
model = keras.Model(inputs, outputs)
seen = []
for eagerly in (False, True):
    model.compile("sgd", ["mse", "mse"], metrics={"a": ["mse"]}, run_eagerly=eagerly)
    logs = model.evaluate(x, [y, y], batch_size=4, verbose=0, return_dict=True)
    seen.append([round(logs[name], 4) for name in ("loss", "a_loss", "b_loss", "a_mse")])
    told = dict(zip(("loss", "a_loss", "b_loss", "a_mse"), seen[-1]))
    print("eagerly:" if eagerly else "in a graph:", ", ".join(f"{name} {value}" for name, value in told.items()))
sys.exit(0 if seen == [[5.2, 5.0, 5.0, 2.6], [5.2, 2.6, 2.6, 2.6]] else 1)
PYTHON
