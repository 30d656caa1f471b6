#!/usr/bin/env bash
# Keras 3.15.1: a layer in SpectralNormalization has a spectral norm above 1 after training.
#
# The wrapper divides the kernel by its norm in the forward pass of a training step and stores the result; the optimizer's
# update comes after that, and inference takes the stored kernel as it is. The bound holds inside a training step alone.
# Seen, one step by SGD with a learning rate of 1, labels far from the predictions:
#    spectral norm of what predict computes: 2.574
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras

keras.utils.set_random_seed(1)
layer = keras.layers.SpectralNormalization(keras.layers.Dense(4, use_bias=False), power_iterations=20)
model = keras.Sequential([keras.Input((5,)), layer])
model.compile(keras.optimizers.SGD(1.0), "mse")
rng = np.random.default_rng(0)
model.train_on_batch(rng.normal(size=(64, 5)), 9 * rng.normal(size=(64, 4)))
norm = float(np.linalg.norm(model.predict(np.eye(5), verbose=0), 2))
print(f"spectral norm of what predict computes: {norm:.3f}")
sys.exit(0 if norm > 1.05 else 1)
PYTHON
