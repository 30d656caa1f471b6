#!/usr/bin/env bash
# TensorFlow 2.21.0: the gradient of tf.math.cumprod is 0 where it is not, if one factor is 0; tf.reduce_prod's is right.
#
# The backward pass divides by the input, and takes 0/0 for 0. The derivative by the factor that is 0 is lost, and with it the
# only way in which the product could change.
# Seen, of the sum of cumprod([2, 0, 3]), whose gradient is [1, 8, 0]:
#    cumprod [1, 0, 0], the same sum by reduce_prod [1, 8, 0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tensorflow as tf

x = tf.Variable([2.0, 0.0, 3.0])
with tf.GradientTape(persistent=True) as tape:
    by_cumprod = tf.reduce_sum(tf.math.cumprod(x))
    by_products = sum(tf.reduce_prod(x[:end]) for end in (1, 2, 3))
first, second = (tape.gradient(y, x).numpy().tolist() for y in (by_cumprod, by_products))
print(f"cumprod {first}, the same sum by reduce_prod {second}")
sys.exit(0 if first == [1.0, 0.0, 0.0] and second == [1.0, 8.0, 0.0] else 1)
PYTHON
