"""Layers one after another, as parts of another layer."""

from tfbp.manual.graph import graph_backward, graph_forward
from tfbp.network import Graph


def chain_forward(layers, weights, x, *, training=False, seed=None, scope="layer"):
    """Returns y; one dict of tensors per layer, with x, z and y; and one pair of residuals per layer."""
    graph = Graph.of_chain(layers)
    made, tensors, residuals = graph_forward(graph, weights, [x], training=training, seed=seed, scope=scope)
    return made[-1], tensors, residuals


def chain_backward(layers, tensors, residuals, dy, *, scope="layer"):
    """Returns dx of the chain (None where it begins with tokens) and one dict of gradients per layer."""
    dmade = {len(layers): dy}
    gradients = graph_backward(Graph.of_chain(layers), tensors, residuals, dmade, scope=scope)
    return dmade.get(0), gradients
