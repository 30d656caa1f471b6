#!/usr/bin/env bash
# TensorFlow 2.21.0: the gradient of tf.nn.max_pool3d goes whole to each of a window's equal largest numbers, on the CPU.
#
# dx of a window adds up to as many times dy as there are ties, 8 times in a window of 2 x 2 x 2 zeros, as after dropout of
# channels. tf.nn.max_pool2d sends dy to the first of them, tf.reduce_max shares it.
# Seen, a window of equal numbers and dy = 1:
#    sum of dx: max_pool3d 8, max_pool2d 1, reduce_max 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tensorflow as tf


def sum_of_dx(function, shape):
    x = tf.zeros(shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return float(tf.reduce_sum(tape.gradient(y, x)))


found = [
    sum_of_dx(lambda x: tf.nn.max_pool3d(x, 2, 2, "VALID"), (1, 2, 2, 2, 1)),
    sum_of_dx(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), (1, 2, 2, 1)),
    sum_of_dx(tf.reduce_max, (1, 2, 2, 2, 1)),
]
print("sum of dx: max_pool3d {:.0f}, max_pool2d {:.0f}, reduce_max {:.0f}".format(*found))
sys.exit(0 if found == [8, 1, 1] else 1)
PYTHON
