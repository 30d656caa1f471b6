"""Layers one after another, as parts of another layer."""

from tfbp.network import Graph
from tfbp.reference.graph import graph_backward, graph_forward


def chain_forward(layers, weights, x, *, training=False, seed=None):
    """Returns y; one dict of tensors per layer, with x, z and y; and one pair of residuals per layer."""
    inputs = x if isinstance(x, tuple) else (x,)
    graph = Graph.of_part(layers, len(inputs))
    made, tensors, residuals = graph_forward(graph, weights, inputs, training=training, seed=seed)
    return made[-1], tensors, residuals


def chain_backward(layers, tensors, residuals, dy):
    """Returns dx of the chain and one dict of gradients per layer.

    dx is a tuple where the chain takes several tensors; it is None for a tensor without a gradient, such as tokens.
    """
    several = isinstance(tensors[0]["x"], tuple)
    inputs = len(tensors[0]["x"]) if several else 1
    dmade = {inputs + len(layers) - 1: dy}
    gradients = graph_backward(Graph.of_part(layers, inputs), tensors, residuals, dmade)
    return tuple(dmade.get(i) for i in range(inputs)) if several else dmade.get(0), gradients
