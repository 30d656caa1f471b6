"""A last layer with the first layer's table, transposed, as its kernel.

V rows of the table, O their width; embeddings (V, O), kernel (O, V).
"""

import tensorflow as tf


def tied_forward(network, parameters):
    """Returns the parameters, with the kernel of a tied last layer; the tape sums the table's two gradients."""
    if not network.tied:
        return parameters
    return [*parameters[:-1], {"kernel": tf.transpose(parameters[0]["embeddings"])}]
