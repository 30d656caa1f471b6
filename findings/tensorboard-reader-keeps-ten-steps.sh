#!/usr/bin/env bash
# TensorBoard 2.21.0: EventAccumulator returns 10 of the 1,000 points that tf.summary.scalar wrote, picked at random.
#
# TensorFlow 2 writes scalars as tensors, of which the reader keeps a sample of 10 a tag; its 10,000 for scalars count for
# TensorFlow 1's alone. `size_guidance={"tensors": 0}` keeps all of them.
# Seen:
#    by default 10 of 1000 steps, Scalars() has no tag "loss": True; with size_guidance 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "tensorboard==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import tempfile

import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = tempfile.mkdtemp()
with tf.summary.create_file_writer(folder).as_default():
    for step in range(1000):
        tf.summary.scalar("loss", step, step=step)


def read(**options):
    events = EventAccumulator(folder, **options)
    events.Reload()
    return events


few, all_steps = len(read().Tensors("loss")), len(read(size_guidance={"tensors": 0}).Tensors("loss"))
no_scalar = "loss" not in read().Tags()["scalars"]
print(f'by default {few} of 1000 steps, Scalars() has no tag "loss": {no_scalar}; with size_guidance {all_steps}')
sys.exit(0 if (few, all_steps, no_scalar) == (10, 1000, True) else 1)
PYTHON
