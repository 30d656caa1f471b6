#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: a model that writes tf.summary, as TensorBoard's docstring shows, is trained only once.
#
# The docstring of keras.callbacks.TensorBoard writes tf.summary.histogram in a model's call, and fits it with update_freq=1.
# The first fit records it. A second fit of the same model, with the same callback or a new one, raises NotFoundError: the
# traced step holds the writer of the first fit, which is closed and gone. The steps of the first fit are all 1, because the
# number is a constant of the trace. Right: steps 1, 2, …, and a second fit that continues.
# Seen:
#    first fit: steps [1, 1, 1, 1]; second fit: NotFoundError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1" "tensorboard==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - "$folder/logs" <<'PYTHON'
import glob
import sys

import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader


class Summary(keras.layers.Layer):
    def call(self, x):
        tf.summary.scalar("mean", tf.reduce_mean(x))
        return x


model = keras.Sequential([keras.Input((2,)), Summary(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x = np.ones((8, 2), "float32")


def fit():
    board = keras.callbacks.TensorBoard(sys.argv[1], update_freq=1)
    model.fit(x, x[:, :1], batch_size=2, verbose=0, callbacks=[board])


fit()
events = [event for file in glob.glob(f"{sys.argv[1]}/train/*") for event in EventFileLoader(file).Load()]
steps = [event.step for event in events for value in event.summary.value if "mean" in value.tag]
try:
    fit()
    second = "trained"
except tf.errors.NotFoundError:
    second = "NotFoundError"
print(f"first fit: steps {steps}; second fit: {second}")
sys.exit(0 if second == "NotFoundError" else 1)
PYTHON
