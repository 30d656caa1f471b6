"""Detects XLA and a GPU: other forms of the same sums are faster there."""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def is_compiled():
    """True inside a function with jit_compile=True, and in its loops and branches."""
    if tf.executing_eagerly():
        return False
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def has_gpu():
    """Whether TensorFlow has a GPU, which it uses by default."""
    return bool(tf.config.list_logical_devices("GPU"))
