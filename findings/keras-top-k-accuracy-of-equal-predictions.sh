#!/usr/bin/env bash
# Keras 3.15.1: a model that predicts the same score for all of 1,000 classes has a top-5 accuracy of 1.
#
# Classes that tie at the k-th place all count as within the first k. A network that has collapsed to a constant looks
# perfect by this metric, and by SparseCategoricalAccuracy it is as wrong as it should be.
# Seen, of 200 labels, each a class of its own:
#    top 5: 1.0 (sparse), 1.0 (one-hot); top 1 by in_top_k: 1.0; SparseCategoricalAccuracy: 0.005
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import keras

labels, scores = np.arange(200), np.zeros((200, 1000), "float32")


def result(metric, labels):
    metric.update_state(labels, scores)
    return float(metric.result())


sparse = result(keras.metrics.SparseTopKCategoricalAccuracy(k=5), labels)
one_hot = result(keras.metrics.TopKCategoricalAccuracy(k=5), np.eye(1000)[labels])
first = result(keras.metrics.SparseTopKCategoricalAccuracy(k=1), labels)
accuracy = round(result(keras.metrics.SparseCategoricalAccuracy(), labels), 6)
print(f"top 5: {sparse} (sparse), {one_hot} (one-hot); top 1 by in_top_k: {first}; SparseCategoricalAccuracy: {accuracy}")
sys.exit(0 if (sparse, one_hot, first, accuracy) == (1.0, 1.0, 1.0, 0.005) else 1)
PYTHON
