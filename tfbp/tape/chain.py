"""Layers one after another, as parts of another layer."""

from tfbp.network import Graph
from tfbp.tape.graph import graph_forward


def chain_forward(layers, weights, x, *, training=False, seed=None, scope="layer"):
    """Returns y, and one dict of tensors per layer, with x, z and y."""
    inputs = x if isinstance(x, tuple) else (x,)
    graph = Graph.of_part(layers, len(inputs))
    made, tensors = graph_forward(graph, weights, inputs, training=training, seed=seed, scope=scope)
    return made[-1], tensors
