"""All that checking imports from TensorFlow's private modules: an upgrade that moves one breaks here."""

from tensorflow.python.framework import op_callbacks as op_callbacks
from tensorflow.python.util import tf_decorator as tf_decorator
