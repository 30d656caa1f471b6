"""The commands that a person types: `tfbp train`, `tfbp agree`, …. They read options before they import TensorFlow."""
