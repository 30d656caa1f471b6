"""Checks any Keras model: its own layers, one by one and all together, in every dtype and mode."""
