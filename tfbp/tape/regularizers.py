"""The penalty on a weight w of any shape: l1 · Σ|w| + l2 · Σw², forward only."""

import tensorflow as tf


def penalty_forward(regularizer, w):
    return regularizer.l1 * tf.reduce_sum(tf.abs(w)) + regularizer.l2 * tf.reduce_sum(tf.square(w))
