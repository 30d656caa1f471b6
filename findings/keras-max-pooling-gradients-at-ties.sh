#!/usr/bin/env bash
# Keras 3.15.1: GlobalMaxPooling2D and MaxPooling2D over the whole image return the same, and differ in their gradients at ties.
#
# After a relu a map is often 0 everywhere. The global layer is tf.reduce_max, which gives each of the four positions a quarter; the
# pooling kernel gives all to the first. Replacing one by the other changes training.
# Seen, of a map of four zeros:
#    global [0.25, 0.25, 0.25, 0.25], windowed [1.0, 0.0, 0.0, 0.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import tensorflow as tf

image = tf.zeros((1, 2, 2, 1))
found = []
for layer in (keras.layers.GlobalMaxPooling2D(), keras.layers.MaxPooling2D(2)):
    with tf.GradientTape() as tape:
        tape.watch(image)
        largest = tf.reduce_sum(layer(image))
    found.append(tape.gradient(largest, image).numpy().ravel().tolist())
print("global {}, windowed {}".format(*found))
sys.exit(0 if found == [[0.25] * 4, [1.0, 0.0, 0.0, 0.0]] else 1)
PYTHON
