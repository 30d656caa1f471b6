"""A last layer tied to the embeddings: its kernel is the first layer's table, transposed.

V rows of the table, O their width; embeddings (V, O), kernel (O, V).
"""

import tensorflow as tf


def tied_forward(network, parameters):
    """The parameters, with the kernel of a last layer that is tied; a tape adds up what comes to the table twice."""
    if not network.tied:
        return parameters
    return [*parameters[:-1], {"kernel": tf.transpose(parameters[0]["embeddings"])}]
