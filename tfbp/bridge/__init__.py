"""Converts between tfbp and Keras: layers, activations, graphs and whole models, in both directions."""
