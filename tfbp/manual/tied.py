"""A last layer tied to the embeddings: its kernel is the first layer's table, transposed.

V rows of the table, O their width; embeddings (V, O), kernel (O, V).
"""

import tensorflow as tf


def tied_forward(network, parameters):
    """The parameters, with the kernel of a last layer that is tied."""
    if not network.tied:
        return parameters
    return [*parameters[:-1], {"kernel": tf.transpose(parameters[0]["embeddings"])}]


def tied_backward(network, gradients):
    """The gradients of the network's own parameters: a table that is used twice gets the sum."""
    if not network.tied:
        return gradients
    first, *others, last = gradients
    # kernel = transpose(embeddings)                    (O, V) <- (V, O)
    dembeddings = first["embeddings"] + tf.transpose(last["kernel"])
    return [{"embeddings": dembeddings}, *others, {}]
