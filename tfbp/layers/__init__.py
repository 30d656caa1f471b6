"""Keras layers whose backward is `tfbp.manual`."""

from tfbp.layers.linear_cross_entropy import LinearCrossEntropy as LinearCrossEntropy
