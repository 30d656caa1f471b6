"""The penalty on a weight w of any shape, l1 · Σ|w| + l2 · Σw², and its gradient."""

import tensorflow as tf


def penalty_forward(regularizer, w):
    penalty = tf.zeros([], w.dtype)
    if regularizer.l1:
        penalty += regularizer.l1 * tf.reduce_sum(tf.abs(w))
    if regularizer.l2:
        penalty += regularizer.l2 * tf.reduce_sum(w * w)
    return penalty, w


def penalty_backward(regularizer, w):
    """The derivative of |w| at 0 is 0."""
    # penalty = l1 Σ|w| + l2 Σ w²
    dw = tf.zeros_like(w)
    if regularizer.l1:
        dw += regularizer.l1 * tf.sign(w)
    if regularizer.l2:
        dw += (2 * regularizer.l2) * w
    return dw
