#!/usr/bin/env bash
# TensorFlow 2.21, Keras 3.15.1: on a CPU the gradient of MaxPooling3D is as many times too large as maxima are equal.
#
# Each of several equal maxima of a window gets all of dy: of a window of 2 x 2 x 2 equal numbers, eight times dy in all. MaxPooling2D
# gives dy to the first alone. Equal maxima are frequent: padding, voxels outside a body, 16-bit numbers, integers as floats.
# Seen, the sum of the gradient of one window of zeros, which is 1 by any convention that is a derivative:
#    MaxPooling2D 1.0, MaxPooling3D 8.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import tensorflow as tf

sums = []
for layer, shape in ((keras.layers.MaxPooling2D(2), (1, 2, 2, 1)), (keras.layers.MaxPooling3D(2), (1, 2, 2, 2, 1))):
    x = tf.zeros(shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x))
    sums.append(float(tf.reduce_sum(tape.gradient(y, x))))
print("MaxPooling2D {}, MaxPooling3D {}".format(*sums))
sys.exit(0 if sums == [1.0, 8.0] else 1)
PYTHON
