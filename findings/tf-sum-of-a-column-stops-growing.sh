#!/usr/bin/env bash
# TensorFlow 2.21.0: on a CPU the mean over the rows of float32 ones is 0.5, where there are 2^25 rows of two columns.
#
# A sum over the first axis is added up row by row in float32, and 2^24 + 1 is 2^24. The sum of all elements, a sum over the
# last axis, and both under XLA are right. A bias's gradient, and moments of a batch of images, are sums of this kind.
# Seen:
#    sum over rows 16777216, mean over rows 0.5; under XLA 33554432; of all elements 67108864
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tensorflow as tf

ones = tf.ones([2**25, 2])
rows = float(tf.reduce_sum(ones, 0)[0])
mean = float(tf.reduce_mean(ones, 0)[0])
compiled = float(tf.function(lambda x: tf.reduce_sum(x, 0), jit_compile=True)(ones)[0])
whole = float(tf.reduce_sum(ones))
print(f"sum over rows {rows:.0f}, mean over rows {mean}; under XLA {compiled:.0f}; of all elements {whole:.0f}")
sys.exit(0 if rows < 2**25 and mean < 1 and compiled == 2**25 and whole == 2**26 else 1)
PYTHON
