#!/usr/bin/env bash
# TensorFlow 2.21.0: tf.nn.weighted_cross_entropy_with_logits has a gradient of 0 at a logit of 0, label 1, where it is -1.5.
#
# The loss is smooth, but its formula adds up |z| and relu(-z), which have kinks at 0, and autodiff adds the kinks' conventions.
# A last layer that starts with zeros does not learn the positive class in the first step.
# Seen, pos_weight 3, label 1:
#    at 0: 0.0; at 1e-6: -1.5; at -1e-6: -1.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tensorflow as tf


def slope(logit):
    z = tf.Variable(logit)
    with tf.GradientTape() as tape:
        loss = tf.nn.weighted_cross_entropy_with_logits(labels=1.0, logits=z, pos_weight=3.0)
    return round(float(tape.gradient(loss, z)), 3)


at, above, below = slope(0.0), slope(1e-6), slope(-1e-6)
print(f"at 0: {at}; at 1e-6: {above}; at -1e-6: {below}")
sys.exit(0 if at != -1.5 and above == below == -1.5 else 1)
PYTHON
