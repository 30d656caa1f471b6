"""The parts that commands share: options, table cells, the run directory, a quiet import of TensorFlow."""
