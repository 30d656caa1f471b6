"""Comparisons beside the matrix: layers, single examples, kinks, the fused last layer, Keras's metrics."""
