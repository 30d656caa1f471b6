#!/usr/bin/env bash
# Keras 3.15.1: Dense(1, "sigmoid") and binary_crossentropy learn from a saturated wrong prediction in float32, and not
# under mixed precision, nor with a Reshape between them.
#
# The activation notes its logits on the tensor that it returns, and the loss uses them in place of the probability. A cast
# to the loss's dtype or any other layer makes a new tensor without that note. The probability is then clipped at 1 - 1e-7,
# where its gradient is 0: the example is lost for training, and its loss stays at 15.94.
# Seen, logit 30, label 0, one step of SGD with learning rate 1 from a weight of 1:
#    float32: loss 30.00, weight -29.0; float32 and Reshape: loss 15.94, weight 1.0; mixed_bfloat16: loss 15.94, weight 1.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras


def trained(policy, *more):
    dense = keras.layers.Dense(1, "sigmoid", kernel_initializer="ones", dtype=policy)
    model = keras.Sequential([keras.Input((1,)), dense, *more])
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy")
    loss = model.train_on_batch(np.array([[30.0]]), np.array([[0.0]]))
    return round(float(loss), 2), float(dense.kernel.numpy()[0, 0])


found = [trained("float32"), trained("float32", keras.layers.Reshape((1,))), trained("mixed_bfloat16")]
names = ("float32", "float32 and Reshape", "mixed_bfloat16")
print("; ".join(f"{name}: loss {loss:.2f}, weight {weight}" for name, (loss, weight) in zip(names, found)))
sys.exit(0 if found == [(30.0, -29.0), (15.94, 1.0), (15.94, 1.0)] else 1)
PYTHON
