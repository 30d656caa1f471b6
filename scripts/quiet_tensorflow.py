"""Import TensorFlow without its start-up chatter, before anything else that imports it."""

from tfbp.commands.quiet_tensorflow import tensorflow as tensorflow
