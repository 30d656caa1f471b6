#!/usr/bin/env bash
# TensorFlow 2.21.0, CPU: tf.einsum adds up float16 products in float16, tf.matmul in float32; the same sum differs by far.
#
# Of a product of matrices, tf.matmul rounds each element once: its error is below one unit roundoff of the result. tf.einsum of the
# same product rounds after every term. Where terms cancel, the result has few right digits, and more terms make it worse.
# Seen, of 800 elements of batched products of 64 normal terms, the largest error in units of 2^-11 |result|:
#    matmul 0.9, einsum 2777
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
a, b = (rng.normal(size=(50, 4, 64)).astype("float16") for _ in range(2))
right = np.einsum("bti,bsi->bts", a.astype("float64"), b.astype("float64"))


def error(y):
    return np.max(np.abs(y.numpy() - right) / np.abs(right)) * 2**11


by_matmul, by_einsum = error(tf.matmul(a, b, transpose_b=True)), error(tf.einsum("bti,bsi->bts", a, b))
print(f"matmul {by_matmul:.1f}, einsum {by_einsum:.0f}")
sys.exit(0 if by_matmul < 1.5 and by_einsum > 20 else 1)
PYTHON
