"""Between tfbp and Keras: layers, activations, graphs and whole models, there and back."""
