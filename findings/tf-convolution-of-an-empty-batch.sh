#!/usr/bin/env bash
# TensorFlow 2.21.0 on a CPU: a convolution of no example has its input's shape, and a convolution's kernel gradient of
# no output is whatever was in memory.
#
# 1. With oneDNN (the default), in float32, tf.nn.conv2d and tf.nn.depthwise_conv2d of x (0, 5, 4, 2) by a kernel of 2 x 2
#    with padding "VALID" are of shape (0, 5, 4, 2). Right, what a graph announces, and what float64 gives: (0, 4, 3, …).
#    A replica that gets no example meets that.
# 2. In float64 the gradient of tf.nn.depthwise_conv2d and tf.nn.conv2d of an image that is smaller than the kernel, with
#    respect to the kernel is not set where there is no output: numbers of arrays that were freed before come back. Right: 0.
# Seen:
#    conv2d float32 (0, 5, 4, 2), float64 (0, 4, 3, 3)
#    depthwise_conv2d float32 (0, 5, 4, 2), float64 (0, 4, 3, 2)
#    not zero: some of 40 gradients of nothing
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

OPERATIONS = {
    "conv2d": (lambda x, k: tf.nn.conv2d(x, k, 1, "VALID"), [2, 2, 2, 3]),
    "depthwise_conv2d": (lambda x, k: tf.nn.depthwise_conv2d(x, k, [1] * 4, "VALID"), [2, 2, 2, 1]),
}
unchanged = True
for name, (operation, shape) in OPERATIONS.items():
    shapes = {t: tuple(operation(tf.zeros([0, 5, 4, 2], t), tf.ones(shape, t)).shape) for t in ("float32", "float64")}
    print(f"{name} float32 {shapes['float32']}, float64 {shapes['float64']}")
    unchanged &= shapes["float32"] == (0, 5, 4, 2) and shapes["float64"][:3] == (0, 4, 3)

not_zero = 0
for operation, shape in OPERATIONS.values():
    for _ in range(20):
        before = [tf.fill(shape, tf.constant(7.25, tf.float64)) for _ in range(8)]
        del before
        x, kernel = tf.zeros([3, 1, 4, 2], tf.float64), tf.ones(shape, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = operation(x, kernel)
        not_zero += bool(np.any(tape.gradient(y, kernel)))
print(f"not zero: {not_zero} of 40 gradients of nothing")
sys.exit(0 if unchanged and not_zero else 1)
PYTHON
