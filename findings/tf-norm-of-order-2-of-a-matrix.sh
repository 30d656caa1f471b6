#!/usr/bin/env bash
# TensorFlow 2.21.0: tf.norm(matrix, ord=2) is the Frobenius norm; NumPy's is the largest singular value.
#
# Without an axis tf.norm flattens its input and takes the norm of a vector, also for a matrix. axis=[0, 1] gives the spectral norm.
# A bound on a layer's Lipschitz constant that is computed without it is too large by up to the root of the rank.
# Seen, of diag(3, 4):
#    tf.norm 5.0, with axis=[0, 1] 4.0, np.linalg.norm 4.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

matrix = np.diag([3.0, 4.0])
found = [float(tf.norm(matrix, ord=2)), float(tf.norm(matrix, ord=2, axis=[0, 1])), float(np.linalg.norm(matrix, ord=2))]
print("tf.norm {:.1f}, with axis=[0, 1] {:.1f}, np.linalg.norm {:.1f}".format(*found))
sys.exit(0 if np.allclose(found, [5.0, 4.0, 4.0]) else 1)
PYTHON
