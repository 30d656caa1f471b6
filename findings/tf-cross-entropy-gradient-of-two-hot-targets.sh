#!/usr/bin/env bash
# TensorFlow 2.21.0, Keras 3.15.1: the gradient of the categorical cross-entropy is not that of its value, where targets do not sum to 1.
#
# loss = −Σ y · log softmax(z) has the gradient softmax(z) · Σy − y. softmax_cross_entropy_with_logits returns this loss for
# every y, and the gradient softmax(z) − y, which is right where Σy = 1. Keras's categorical_crossentropy of probabilities
# returns one gradient for those of keras.activations.softmax, whose logits it finds, and another for those of tf.nn.softmax.
# Class weights multiplied into one-hot targets, or two classes marked in a row, train by another gradient than the loss's.
# Seen, for z = (0.2, −0.5, 1) and y = (1, 1, 0):
#    differences of the loss           [-0.46267 -0.73317  1.19584]
#    with_logits                       [-0.73134 -0.86659  0.59792]
#    Keras, tf.nn.softmax              [-0.46267 -0.73317  1.19584]
#    Keras, keras.activations.softmax  [-0.73134 -0.86659  0.59792]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np
import tensorflow as tf

z, y = tf.constant([[0.2, -0.5, 1.0]], tf.float64), tf.constant([[1.0, 1.0, 0.0]], tf.float64)


def with_logits(z):
    return tf.nn.softmax_cross_entropy_with_logits(y, z)


def gradient(loss):
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(z)
    return tape.gradient(value, z).numpy()[0]


ways = {
    "with_logits": with_logits,
    "Keras, tf.nn.softmax": lambda z: keras.ops.categorical_crossentropy(y, tf.nn.softmax(z)),
    "Keras, keras.activations.softmax": lambda z: keras.ops.categorical_crossentropy(y, keras.activations.softmax(z)),
}
steps = 1e-6 * np.eye(3)
slopes = np.array([(with_logits(z + step)[0] - with_logits(z - step)[0]).numpy() / 2e-6 for step in steps])
found = {name: gradient(loss) for name, loss in ways.items()}
print(f"{'differences of the loss':33s}", slopes.round(5))
for name, value in found.items():
    print(f"{name:33s}", value.round(5))
right = {name: bool(np.allclose(value, slopes, atol=1e-6)) for name, value in found.items()}
sys.exit(0 if list(right.values()) == [False, True, False] else 1)
PYTHON
