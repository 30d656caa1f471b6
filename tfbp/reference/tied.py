"""A last layer with the first layer's table, transposed, as its kernel.

V rows of the table, O their width; embeddings (V, O), kernel (O, V).
"""


def tied_forward(network, parameters):
    """Returns the parameters, with the kernel of a tied last layer."""
    if not network.tied:
        return parameters
    return [*parameters[:-1], {"kernel": parameters[0]["embeddings"].T}]


def tied_backward(network, gradients):
    """Returns the gradients of the network's own parameters: a table with two uses has the sum."""
    if not network.tied:
        return gradients
    first, *others, last = gradients
    # kernel = embeddings.T                             (O, V) <- (V, O)
    dembeddings = first["embeddings"] + last["kernel"].T
    return [{"embeddings": dembeddings}, *others, {}]
