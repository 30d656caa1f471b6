#!/usr/bin/env bash
# TensorBoard 2.21.0: one NaN among 1,000 numbers makes every edge of tf.summary.histogram's buckets NaN, and every count 0.
#
# The range of the buckets is that of the numbers, and the smallest of NaN and something is NaN. The other 999 numbers do not
# show in the chart of a layer's gradients, at the step where one would look.
# Seen, of the numbers 0 to 999 with one replaced:
#    edges that are NaN: 60 of 60, numbers counted: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0" "tensorboard==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import tempfile

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = tempfile.mkdtemp()
numbers = np.arange(1000.0)
numbers[7] = np.nan
with tf.summary.create_file_writer(folder).as_default():
    tf.summary.histogram("gradient", numbers, step=0)
events = EventAccumulator(folder)
events.Reload()
buckets = tf.make_ndarray(events.Tensors("gradient")[0].tensor_proto)
nan, counted = int(np.isnan(buckets[:, :2]).sum()), int(buckets[:, 2].sum())
print(f"edges that are NaN: {nan} of {buckets[:, :2].size}, numbers counted: {counted}")
sys.exit(0 if nan == buckets[:, :2].size and counted == 0 else 1)
PYTHON
