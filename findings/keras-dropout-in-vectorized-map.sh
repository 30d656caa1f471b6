#!/usr/bin/env bash
# Keras 3.15.1 and TensorFlow 2.21.0: inside tf.vectorized_map a Dropout layer drops the same units of every example.
#
# vectorized_map runs its function once, on all elements together. The layer's SeedGenerator moves on once, its seed is the
# same for all, and a stateless draw of one seed is one draw. Gradients of single examples that are computed in this way
# have one mask, where a batch has one mask each. tf.map_fn draws anew for each element.
# Seen, 16 rows of 32 ones, rate 0.5: number of different masks:
#    vectorized_map 1, map_fn 16, the layer on the batch 16
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
layer, ones = keras.layers.Dropout(0.5), tf.ones((16, 32))


def masks(rows):
    return len({tuple(row) for row in rows.numpy().tolist()})


def drop(row):
    return layer(row, training=True)


counts = [
    masks(tf.function(lambda: tf.vectorized_map(drop, ones))()),
    masks(tf.function(lambda: tf.map_fn(drop, ones))()),
    masks(layer(ones, training=True)),
]
print("vectorized_map {}, map_fn {}, the layer on the batch {}".format(*counts))
sys.exit(0 if counts == [1, 16, 16] else 1)
PYTHON
