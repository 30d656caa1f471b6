#!/usr/bin/env bash
# Keras 3.15.1: with kernel_initializer=GlorotUniform(seed=1), attention starts with one kernel for query, key and value.
#
# A layer that makes several layers clones the initializer with its seed, and an initializer is a function of its seed
# alone. The two directions of a Bidirectional layer start equal in the same way. Without a seed the kernels differ.
# Seen:
#    seed=1: query is key True, query is value True, forward is backward True; no seed: False, False, False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras


def equal(seed):
    start = keras.initializers.GlorotUniform(seed=seed)
    attention = keras.layers.MultiHeadAttention(2, 4, kernel_initializer=start)
    attention.build((2, 3, 8), (2, 3, 8))
    query, key, value = (
        np.array(each.kernel) for each in (attention.query_dense, attention.key_dense, attention.value_dense)
    )
    both = keras.layers.Bidirectional(keras.layers.LSTM(3, kernel_initializer=start))
    both.build((2, 3, 8))
    forward, backward = (np.array(each.cell.kernel) for each in (both.forward_layer, both.backward_layer))
    return np.array_equal(query, key), np.array_equal(query, value), np.array_equal(forward, backward)


seeded, free = equal(1), equal(None)
print("seed=1: query is key {}, query is value {}, forward is backward {}; ".format(*seeded), end="")
print("no seed: {}, {}, {}".format(*free))
sys.exit(0 if all(seeded) and not any(free) else 1)
PYTHON
