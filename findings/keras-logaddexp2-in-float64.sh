#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: keras.ops.logaddexp2 of float64 has an error of about 3e-9, of float32's size.
#
# The other logarithms and exponentials of keras.ops are exact to 1e-15 there; this one multiplies by a constant of float32.
# Seen, at (0.7, 0.2):
#    logaddexp2 off by 2.7e-09, logaddexp by 2.2e-16, log2 by 0.0e+00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import math
import sys

import keras
import tensorflow as tf

a, b = (tf.constant(x, tf.float64) for x in (0.7, 0.2))
errors = [
    abs(float(keras.ops.logaddexp2(a, b)) - math.log2(2**0.7 + 2**0.2)),
    abs(float(keras.ops.logaddexp(a, b)) - math.log(math.exp(0.7) + math.exp(0.2))),
    abs(float(keras.ops.log2(a)) - math.log2(0.7)),
]
print("logaddexp2 off by {:.1e}, logaddexp by {:.1e}, log2 by {:.1e}".format(*errors))
sys.exit(0 if errors[0] > 1e-10 and max(errors[1:]) < 1e-14 else 1)
PYTHON
