#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: ScheduleFreeAdamW in Model.fit begins its average again at every step.
#
# The optimizer copies the weights into its momentum when it is built. Model.fit builds it inside the traced train step, so
# that the copy is a part of the step. After optimizer.build(model.trainable_variables), and with run_eagerly=True, the copy is made
# once. Right: the same weights in all three. No error and no warning.
# Seen:
#    a kernel's first number after 40 epochs: 0.2279 built by fit, -0.1412 built before, -0.1412 eagerly
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

rng = np.random.default_rng(0)
x, y = rng.normal(size=(26, 3)).astype("float32"), rng.normal(size=(26, 2)).astype("float32")


def first_number(build: bool, eagerly: bool) -> float:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)])
    model.compile(keras.optimizers.ScheduleFreeAdamW(0.05), "mse", run_eagerly=eagerly)
    if build:
        model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=8, epochs=40, shuffle=False, verbose=0)
    return float(model.get_weights()[0][0, 0])


by_fit, before, eagerly = first_number(False, False), first_number(True, False), first_number(False, True)
print(f"{by_fit:.4f} built by fit, {before:.4f} built before, {eagerly:.4f} eagerly")
sys.exit(0 if abs(before - eagerly) < 1e-4 and abs(by_fit - before) > 0.1 else 1)
PYTHON
