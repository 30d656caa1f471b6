"""A last layer tied to the embeddings: its kernel is the first layer's table, transposed.

V rows of the table, O their width; embeddings (V, O), kernel (O, V).
"""


def tied_forward(network, parameters):
    """The parameters, with the kernel of a last layer that is tied."""
    if not network.tied:
        return parameters
    return [*parameters[:-1], {"kernel": parameters[0]["embeddings"].T}]


def tied_backward(network, gradients):
    """The gradients of the network's own parameters: a table that is used twice gets the sum."""
    if not network.tied:
        return gradients
    first, *others, last = gradients
    # kernel = embeddings.T                             (O, V) <- (V, O)
    dembeddings = first["embeddings"] + last["kernel"].T
    return [{"embeddings": dembeddings}, *others, {}]
