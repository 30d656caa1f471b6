#!/usr/bin/env bash
# Keras 3.15.1: MultiHeadAttention(…, trainable=False) leaves all of its weights trainable in a model.
#
# The argument sets a flag of the outer layer before its inner layers exist, and does not reach them. `layer.trainable = False`
# after the layer is built freezes them. Dense(…, trainable=False) is frozen by its argument.
# Seen, trainable weights of the model:
#    attention by its argument 8, by the attribute 0; Dense by its argument 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras

tokens = keras.Input((3, 8))


def weights(layer, *inputs):
    return len(keras.Model(tokens, layer(*inputs)).trainable_weights)


by_argument = weights(keras.layers.MultiHeadAttention(2, 4, trainable=False), tokens, tokens)
attention = keras.layers.MultiHeadAttention(2, 4)
model = keras.Model(tokens, attention(tokens, tokens))
attention.trainable = False
by_attribute = len(model.trainable_weights)
dense = weights(keras.layers.Dense(3, trainable=False), tokens)
print(f"attention by its argument {by_argument}, by the attribute {by_attribute}; Dense by its argument {dense}")
sys.exit(0 if (by_argument, by_attribute, dense) == (8, 0, 0) else 1)
PYTHON
