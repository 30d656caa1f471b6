"""The parametric relu, forward only: tf.GradientTape differentiates, and takes 0 at x = 0."""

import tensorflow as tf


def prelu_forward(x, alpha):
    return tf.nn.relu(x) - alpha * tf.nn.relu(-x)
