#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: model.evaluate in a callback after the last batch becomes the epoch's training loss.
#
# fit returns as loss of an epoch the value of the model's loss metric after the last batch. evaluate uses the same metric. So a
# callback that evaluates in on_train_batch_end, at the last batch of an epoch, replaces the training loss in the history and
# in all logs, for EarlyStopping and ReduceLROnPlateau, too. Right: the loss on the training data, as without the callback.
# Seen:
#    history without the callback: 2.56, with it: 3879.73; evaluate returned 3879.73
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "keras==3.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")


class EvaluatesAtTheEnd(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.loss = self.model.evaluate(100 * x, x[:, :1], verbose=0)


def loss_of(callbacks):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(x, x[:, :1], batch_size=4, verbose=0, shuffle=False, callbacks=callbacks).history["loss"][0]


callback = EvaluatesAtTheEnd()
without, replaced = loss_of([]), loss_of([callback])
print(f"history without the callback: {without:.2f}, with it: {replaced:.2f}; evaluate returned {callback.loss:.2f}")
sys.exit(0 if np.isclose(replaced, callback.loss) and not np.isclose(replaced, without) else 1)
PYTHON
