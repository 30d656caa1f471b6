"""The random cases that tfbp and Keras are compared on."""
