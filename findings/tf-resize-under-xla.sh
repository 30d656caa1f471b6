#!/usr/bin/env bash
# TensorFlow 2.21.0, CPU: tf.image.resize to three times the width gives other pixels when it is compiled by XLA.
#
# Bilinear resizing of 8 columns to 24: the columns 4, 7 and 13 of the compiled result are other numbers, not to rounding but
# by the size of the pixels. Column 4 is the middle of column 1, so that it must be that pixel. Twice the width is right.
# keras.layers.UpSampling2D with interpolation="bilinear" calls this function. Right: the same pixels, to rounding.
# Seen:
#    columns that differ: [4, 7, 13]; column 4: eager -0.1321, compiled 0.6404, the pixel itself -0.1321
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

x = tf.constant(np.random.default_rng(0).normal(size=(1, 1, 8, 1)), tf.float32)


def resized(x):
    return tf.image.resize(x, (1, 24))


eager, compiled = resized(x), tf.function(resized, jit_compile=True, autograph=False)(x)
columns = np.flatnonzero(np.abs((eager - compiled).numpy()[0, 0, :, 0]) > 1e-3).tolist()
at = [float(each[0, 0, place, 0]) for each, place in ((eager, 4), (compiled, 4), (x, 1))]
print(f"columns that differ: {columns}; column 4: eager {at[0]:.4f}, compiled {at[1]:.4f}, the pixel itself {at[2]:.4f}")
sys.exit(0 if columns else 1)
PYTHON
